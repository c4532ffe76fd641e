/**
 * A table of rules as tests: what is changed about an allowed request, and the answer.
 * @module
 */
import { expect, it } from 'vitest';
import type { RequestMessage } from '../../src/signatures/index.ts';
import { type Changes, present, refusalOf } from './requests.ts';

type Answer = 'signature-missing' | 'signature-malformed' | 'signature-policy' | 'accepted';

/** `says` is part of the refusal's text, so that no row passes for another row's reason. */
export type Rule = readonly [rule: string, changes: Changes, answer: Answer, says?: string];

export function holdRules(request: (changes: Changes) => RequestMessage, rules: readonly Rule[]): void {
  for (const [rule, changes, answer, says = ''] of rules) {
    it(`${rule}: ${answer}`, () => {
      const act = () => present(request(changes), changes.conditions);
      if (answer === 'accepted') {
        expect(act).not.toThrow();
        return;
      }
      const refusal = refusalOf(act);
      expect([refusal.code, refusal.message]).toEqual([answer, expect.stringContaining(says)]);
    });
  }
}
