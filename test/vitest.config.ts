import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    exclude: process.env.HEAVY ? [] : ['**/*.heavy.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // What is awaited may take a process, a password hash or a busy machine; one second is luck.
    expect: { poll: { timeout: 60_000 } },
    pool: 'forks',
    // By default one core of two stays idle, and most tests wait for a process or a socket. The long ones compare times.
    maxWorkers: process.env.HEAVY ? 1 : '100%',
    reporters: ['default', './summary-reporter.ts'],
  },
});
