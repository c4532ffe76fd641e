import { describe, expect, it } from 'vitest';
import { refuseDemo } from '../../src/security/demo-role.ts';
import { securityContext } from '../../src/security/security-context.ts';

const contextWith = (...roles: string[]) => securityContext({ principal: 'consumer:x', roles });

describe('the demo role', () => {
  it.each([[['demo']], [['demo:orders']], [['demo', 'demo:orders']]])('alone is kept out: %j', (roles) => {
    expect(() => refuseDemo(contextWith(...roles))).toThrow(
      expect.objectContaining({ code: 'role-missing' }),
    );
  });

  it.each([[[]], [['orders']], [['demo', 'orders']], [['demos']], [['demo-2']]])('is not %j', (roles) => {
    expect(() => refuseDemo(contextWith(...roles))).not.toThrow();
  });
});
