/**
 * What `doctor` finds: one line a check.
 * @module
 */
export interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'warning' | 'failure';
  readonly detail: string;
}

export const ok = (check: string, detail: string): Finding => ({ check, status: 'ok', detail });
export const warning = (check: string, detail: string): Finding => ({ check, status: 'warning', detail });
export const failure = (check: string, detail: string): Finding => ({ check, status: 'failure', detail });
