/**
 * SIGHUP, which means two things: an operator asks a service for something, or its terminal was closed.
 * @module
 */
import { isatty } from 'node:tty';

/** Milliseconds after which a terminal that has hung up is none any more: the kernel tells of it a moment before. */
const HANG_UP_MS = 200;

/**
 * Does what SIGHUP asks for, and ends with the terminal. Nothing can be written when that is closed, and Node crashes
 * where it exits without the terminal that it began with (measured: abort or segmentation fault). A kill loses nothing.
 */
export function onHangUp(act: () => void): void {
  const hadTerminal = isatty(0);
  process.on('SIGHUP', () => {
    if (!hadTerminal) act();
    else setTimeout(() => (isatty(0) ? act() : process.kill(process.pid, 'SIGKILL')), HANG_UP_MS);
  });
}
