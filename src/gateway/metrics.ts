/**
 * What is counted, in Prometheus' words. On the path of a call there is an addition or two; prom-client renders.
 * @module
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { CommitObserver } from '../storage/sqlite/commit-group.ts';
import type { GatewayCertificate } from './tls/gateway-certificate.ts';

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30];
const COMMIT_SECONDS = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.25, 1,
];
const COMMIT_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024];

export class Metrics implements CommitObserver {
  private readonly registry = new Registry();
  private readonly calls = new Map<string, number>();
  private readonly seconds: Histogram;
  private readonly commitSeconds: Histogram;
  private readonly commitSizes: Histogram;
  private readonly storeErrors: Counter;

  /** @param nonceCount how many nonces are held in memory, asked when the page is read. */
  constructor(nonceCount: () => number) {
    const registers = [this.registry];
    const { calls } = this;
    // Event-loop lag, memory, garbage collection: measured when the page is read, and by Node's own monitor.
    collectDefaultMetrics({ register: this.registry });
    new Counter({
      name: 'countersign_calls_total',
      help: 'Calls by decision: ok, or the code of the refusal.',
      labelNames: ['code'],
      registers,
      collect() {
        this.reset();
        for (const [code, count] of calls) this.inc({ code }, count);
      },
    });
    new Gauge({
      name: 'countersign_nonces_held',
      help: 'Nonces held in memory.',
      registers,
      collect() {
        this.set(nonceCount());
      },
    });
    this.seconds = new Histogram({
      name: 'countersign_call_duration_seconds',
      help: 'Duration of calls, from their header section to their answer.',
      buckets: SECONDS,
      registers,
    });
    this.commitSeconds = new Histogram({
      name: 'countersign_commit_duration_seconds',
      help: 'Duration of commits.',
      buckets: COMMIT_SECONDS,
      registers,
    });
    this.commitSizes = new Histogram({
      name: 'countersign_commit_size',
      help: 'Nonces and units of work in one commit.',
      buckets: COMMIT_SIZES,
      registers,
    });
    this.storeErrors = new Counter({
      name: 'countersign_store_errors_total',
      help: 'Commits that failed.',
      registers,
    });
  }

  /**
   * Shows how long keys will still be good.
   * @param keys those that are, with the days that each has left; asked when the page is read.
   */
  watchKeys(keys: () => Iterable<{ consumer: string; keyid: string; daysLeft: number }>): void {
    new Gauge({
      name: 'countersign_key_days_left',
      help: 'Days until a key ends; revoked and ended keys are left out.',
      labelNames: ['consumer', 'keyid'],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const { consumer, keyid, daysLeft } of keys()) this.set({ consumer, keyid }, daysLeft);
      },
    });
  }

  /**
   * Shows how long the gateway's certificate and those above it will still be good.
   * @param own asked when the page is read.
   */
  watchCertificates(own: GatewayCertificate): void {
    const registers = [this.registry];
    new Gauge({
      name: 'countersign_certificate_seconds_left',
      help: 'Seconds until a certificate of the chain ends; below zero, it has.',
      labelNames: ['certificate', 'serial'],
      registers,
      collect() {
        this.reset();
        for (const { certificate, serial, secondsLeft } of own.terms())
          this.set({ certificate, serial }, secondsLeft);
      },
    });
    new Gauge({
      name: 'countersign_certificate_last_renewal_timestamp_seconds',
      help: 'When a certificate was last put in force, in epoch seconds; 0 before the first of this process.',
      registers,
      collect() {
        this.set((own.lastRenewal ?? 0) / 1000);
      },
    });
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  called(code: string, seconds: number): void {
    this.count(code);
    this.seconds.observe(seconds);
  }

  /** A call that was no HTTP, so that it has no duration either. */
  refusedUnparsed(code: string): void {
    this.count(code);
  }

  private count(code: string): void {
    this.calls.set(code, (this.calls.get(code) ?? 0) + 1);
  }

  committed(claims: number, jobs: number, seconds: number): void {
    this.commitSizes.observe(claims + jobs);
    this.commitSeconds.observe(seconds);
  }

  failed(): void {
    this.storeErrors.inc();
  }

  text(): Promise<string> {
    return this.registry.metrics();
  }
}
