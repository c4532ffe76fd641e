/**
 * The outbox: `ID.pem` with the chain that a request was answered with. A chain is on the disk under a draft's name
 * before the ledger speaks of it, and gets its name after: so a full disk is met before anything counts as issued, and a
 * crash in between leaves a whole draft, which the next pass puts in its place. A draft that the ledger doesn't know
 * was never issued, and is removed.
 * @module
 */
import { X509Certificate } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fingerprintOf } from './certificate.ts';
import type { History } from './history.ts';
import { refuseMissing } from './inbox.ts';
import { dropStaged, publishFile, readPlainFile, stageFile } from './plain-file.ts';
import { BUNDLE_FILE } from './trust-bundle.ts';

const DRAFT = /^\.(.+)\.pem\.partial$/;
const ANSWER = /^(.+)\.pem$/;

export class Outbox {
  private readonly folder: string;

  /** `config-invalid` where there is no such folder. */
  constructor(folder: string) {
    refuseMissing(folder, 'outbox');
    this.folder = folder;
  }

  /** Puts a chain on the disk, under a name that nobody looks for. Errors of the system as they are; then it is gone. */
  stage(id: string, chainPem: string): void {
    stageFile(this.folder, nameOf(id), chainPem);
  }

  /** Gives a staged chain its name. */
  publish(id: string): void {
    publishFile(this.folder, nameOf(id));
  }

  /** Removes a staged chain that won't be issued. */
  drop(id: string): void {
    dropStaged(this.folder, nameOf(id));
  }

  /** Puts the trust bundle there, where it isn't there already. */
  putBundle(text: string): void {
    if (this.has(BUNDLE_FILE, text)) return;
    stageFile(this.folder, BUNDLE_FILE, text);
    publishFile(this.folder, BUNDLE_FILE);
  }

  private has(name: string, text: string): boolean {
    try {
      return readPlainFile(join(this.folder, name)).toString() === text;
    } catch {
      return false;
    }
  }

  /** What a pass that was cut off has left: the id, and the SHA-256 of its leaf, if a whole leaf is in it. */
  drafts(): { id: string; fingerprint: string | undefined }[] {
    return this.chains(DRAFT);
  }

  /** Removes answers whose certificates have ended. @param now epoch seconds. Errors of the system as they are. */
  clearEnded(history: History, now: number): void {
    for (const { id, fingerprint } of this.chains(ANSWER)) {
      const leaf = fingerprint === undefined ? undefined : history.leaf(fingerprint);
      if (leaf?.request?.id === id && leaf.notAfter <= now) rmSync(join(this.folder, nameOf(id)));
    }
  }

  private chains(pattern: RegExp): { id: string; fingerprint: string | undefined }[] {
    return readdirSync(this.folder).flatMap((file) => {
      const id = pattern.exec(file)?.[1];
      return id === undefined ? [] : [{ id, fingerprint: leafIn(join(this.folder, file)) }];
    });
  }
}

function nameOf(id: string): string {
  return `${id}.pem`;
}

/** The SHA-256 of a whole leaf; undefined where there is none. */
function leafIn(file: string): string | undefined {
  try {
    return fingerprintOf(new X509Certificate(readPlainFile(file)));
  } catch {
    return undefined;
  }
}
