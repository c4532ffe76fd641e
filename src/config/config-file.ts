/**
 * The settings of the configuration file, each traced to its line and column.
 * @module
 */
import { isAlias, isMap, isScalar, isSeq, type Node } from 'yaml';
import type { z } from 'zod';
import { closest, type Faults, type Position, settingName } from './faults.ts';
import { place, readYaml, type Yaml } from './yaml.ts';

type Path = readonly PropertyKey[];

/** The known names in an object of the file; undefined where the path leads to none. */
export type KnownNames = (path: Path) => readonly string[] | undefined;

export class ConfigFile {
  /** False where there is a file that can't be understood: nobody knows what it would have set. */
  readonly isRead: boolean;
  /** The content as plain values; empty where there is no file, or it can't be understood. */
  readonly content: Readonly<Record<string, unknown>>;
  private readonly yaml: Yaml | undefined;
  private readonly faults: Faults;
  private readonly knownNames: KnownNames;

  /**
   * Reads the file; its faults go to `faults`.
   * @param name relative to `cwd`, or absolute; undefined for no file.
   */
  constructor(name: string | undefined, cwd: string, faults: Faults, knownNames: KnownNames) {
    this.faults = faults;
    this.knownNames = knownNames;
    faults.file = name ?? '';
    this.yaml = name === undefined ? undefined : readYaml(name, cwd, faults);
    this.isRead = name === undefined || this.yaml !== undefined;
    this.content = this.yaml?.content ?? {};
    this.refuseUnknown([], Object.keys(this.content));
  }

  /** One top-level setting, or undefined where it is absent or faulty. */
  setting<T>(name: string, schema: z.ZodType<T>): T | undefined {
    if (!Object.hasOwn(this.content, name)) return undefined;
    const parsed = schema.safeParse(this.content[name]);
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) {
      const path = [name, ...issue.path];
      if (issue.code === 'unrecognized_keys') this.refuseUnknown(path, issue.keys);
      else this.faults.add(settingName(path), issue.message, this.position(path));
    }
    return undefined;
  }

  /** Where a setting's value stands, or, if it is missing, what should hold it. */
  position(path: Path): Position | undefined {
    if (!this.yaml) return undefined;
    return place(this.yaml.lines, this.follow(path).start);
  }

  private refuseUnknown(path: Path, names: readonly string[]): void {
    const known = this.knownNames(path) ?? [];
    const unknown = names.filter((name) => !known.includes(name));
    if (unknown.length === 0) return;
    const starts = this.keyStarts(path);
    for (const name of unknown) {
      const meant = closest(name, known);
      const hint = meant ? `did you mean ${meant}?` : `the settings here are ${known.join(', ')}`;
      const start = starts.get(name);
      const position = this.yaml && start !== undefined ? place(this.yaml.lines, start) : this.position(path);
      this.faults.add(settingName([...path, name]), `is not a setting; ${hint}`, position);
    }
  }

  /** The offsets at which the keys of a mapping are written. */
  private keyStarts(path: Path): ReadonlyMap<string, number> {
    const { node } = this.follow(path);
    const starts = new Map<string, number>();
    for (const { key } of isMap(node) ? node.items : []) {
      if (isScalar(key) && key.range) starts.set(String(key.value), key.range[0]);
    }
    return starts;
  }

  /** Walks down as far as the path leads. @returns the last node met, and the offset where it is written. */
  private follow(path: Path): { readonly node: Node | undefined; readonly start: number } {
    let node = this.resolved(this.yaml?.document.contents);
    let start = node?.range?.[0] ?? 0;
    for (const key of path) {
      const inner = isMap(node) || isSeq(node) ? (node.get(key, true) as Node | undefined) : undefined;
      if (inner === undefined) break;
      start = inner.range?.[0] ?? start;
      node = this.resolved(inner);
    }
    return { node, start };
  }

  private resolved(node: Node | null | undefined): Node | undefined {
    return (isAlias(node) && this.yaml ? node.resolve(this.yaml.document) : node) ?? undefined;
  }
}
