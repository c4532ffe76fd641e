/** The long versions of processes.test.ts. */
import { describe, it } from 'vitest';
import { killAgainAndAgain } from './killed.ts';
import { claimInLockstep } from './lockstep.ts';
import { raceFirstStarts } from './raced-start.ts';

const TEN_MINUTES = 600_000;

describe('at length', () => {
  it('100,000 nonces in lockstep', () => claimInLockstep(100_000), TEN_MINUTES);

  it('500 first starts at once', () => raceFirstStarts(500), TEN_MINUTES);

  it('200 kills', () => killAgainAndAgain(200), TEN_MINUTES);
});
