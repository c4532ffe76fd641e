/**
 * Child processes of a test and the folders that they work in: what they write is kept, what they will write is waited
 * for, and each is ended by its id, also where a test fails.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Target } from '../gateway/wire.ts';
import { builtFolder } from './built.ts';

export type Variables = Readonly<Record<string, string>>;

export interface Outcome {
  /** The exit code, or null where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SpawnOptions {
  readonly cwd?: string;
  readonly variables?: Variables;
  /** What stands on its standard input; nothing where absent. */
  readonly input?: string;
  /** Whether it starts processes of its own, which are to be ended with it. */
  readonly group?: boolean;
}

const running = new Set<Child>();
const folders: string[] = [];

/** Ends whatever still runs, and removes the folders. Every file that starts processes calls it when it is done. */
export async function endAll(): Promise<void> {
  const left = [...running];
  for (const child of left) child.kill();
  await Promise.allSettled(left.map((child) => child.ended));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

export class Child {
  stdout = '';
  stderr = '';
  readonly ended: Promise<Outcome>;
  private readonly process: ChildProcess;
  private readonly group: boolean;

  constructor(command: string, args: readonly string[], options: SpawnOptions = {}) {
    const { cwd = tmpdir(), variables = {}, input, group = false } = options;
    this.group = group;
    this.process = spawn(command, args, {
      cwd,
      env: { ...plainEnvironment(), ...variables },
      detached: group,
      stdio: 'pipe',
    });
    running.add(this);
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    // Who ends before it has read its input breaks the pipe, and that isn't the test's business.
    this.process.stdin?.on('error', () => {}).end(input);
    this.ended = new Promise((resolve, reject) => {
      this.process.on('error', (error) => {
        running.delete(this);
        reject(error);
      });
      this.process.on('close', (code) => {
        running.delete(this);
        resolve({ code, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  /** The first match in what it has written or will write; rejects where it ends without one. */
  written(pattern: RegExp, stream: 'stdout' | 'stderr'): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = pattern.exec(this[stream]);
        if (!found) return;
        this.process[stream]?.off('data', look);
        resolve(found);
      };
      this.process[stream]?.on('data', look);
      look();
      this.ended.then(({ code, stdout, stderr }) => {
        reject(new Error(`It ended (${code}) without having written ${pattern}:\n${stdout}\n${stderr}`));
      }, reject);
    });
  }

  signal(name: NodeJS.Signals): void {
    if (this.group && this.process.pid !== undefined) process.kill(-this.process.pid, name);
    else this.process.kill(name);
  }

  /** Ends it at once, as a power switch would. */
  kill(): void {
    if (this.process.exitCode === null && this.process.signalCode === null) this.signal('SIGKILL');
  }

  /** Asks it to end, and waits until it has. */
  stop(): Promise<Outcome> {
    this.signal('SIGTERM');
    return this.ended;
  }
}

/** This process's environment without what belongs to the run: our own variables, npm's and the test runner's. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const foreign =
    /^(?:COUNTERSIGN_|VITEST|npm_(?!config_)|npm_config_local_prefix$|(?:NODE_ENV|NODE_OPTIONS|INIT_CWD|TEST|HEAVY)$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

/** Runs the built command line. */
export function countersign(args: readonly string[], options: SpawnOptions = {}): Child {
  return new Child(process.execPath, [join(builtFolder(), 'dist/cli/countersign.js'), ...args], options);
}

/** A folder that `endAll` removes. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-e2e-'));
  folders.push(folder);
  return folder;
}

export interface Credentials {
  readonly keyid: string;
  readonly secret: string;
  readonly url: string;
}

/** A gateway in a process of its own. */
export interface GatewayProcess extends Target {
  readonly child: Child;
  readonly url: string;
  readonly data: string;
  /** The demo consumer's. */
  readonly credentials: Credentials;
}

export interface ServeOptions {
  /** As in the YAML file. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly variables?: Variables;
}

/** Starts a gateway on a free port and the data folder `data`, and waits until it listens. */
export async function serve(
  data: string,
  { settings, variables }: ServeOptions = {},
): Promise<GatewayProcess> {
  const config: Variables = settings ? { COUNTERSIGN_CONFIG: `${data}.yaml` } : {};
  // JSON is YAML.
  if (settings) writeFileSync(`${data}.yaml`, JSON.stringify(settings));
  const child = countersign(['serve'], {
    variables: { COUNTERSIGN_DATA: data, COUNTERSIGN_PORT: '0', ...config, ...variables },
  });
  await child.written(/Countersign serves \S+\n/, 'stderr');
  const { port, url } = await listening(child);
  return {
    child,
    url,
    port,
    data,
    clock: Date,
    get credentials() {
      return readCredentials(join(data, 'demo.json'));
    },
  };
}

/** What its log says of where it listens. */
export async function listening(child: Child): Promise<{ port: number; url: string }> {
  const [line] = await child.written(/^.*"msg":"listening".*$/m, 'stdout');
  return JSON.parse(line);
}

export function readCredentials(file: string): Credentials {
  return JSON.parse(readFileSync(file, 'utf8'));
}
