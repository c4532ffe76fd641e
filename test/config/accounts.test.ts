/** `accounts:`. */
import { expect, it } from 'vitest';
import { faults, load } from './load.ts';

it('registration is closed unless it is opened', () => {
  expect(load('').accounts).toEqual({ registration: 'closed' });
  expect(load('accounts: {}').accounts).toEqual({ registration: 'closed' });
  for (const registration of ['open', 'invited', 'closed']) {
    expect(load(`accounts: { registration: ${registration} }`).accounts).toEqual({ registration });
  }
});

it.each([
  ['accounts: open', 'accounts: must be settings, such as { registration: invited }'],
  ['accounts: { registration: yes }', 'accounts.registration: must be one of open, invited, closed'],
  [
    'accounts: { registrations: open }',
    'accounts.registrations: is not a setting; did you mean registration?',
  ],
])('%s is a fault', (yaml, fault) => {
  expect(faults(yaml)[0]).toContain(fault);
});
