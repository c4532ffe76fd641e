/**
 * The demo consumer of the first start, and the public demo: made, renewed and ended in units of work.
 * @module
 */
import { type Clock, epochSeconds } from '../clock.ts';
import { DEMO_CONSUMER, DEMO_ROLES, writeDemoFile } from '../consumers/demo.ts';
import {
  endPublicDemo,
  makePublicDemo,
  type PublicDemoKey,
  type PublicDemoParts,
  publicDemoExpired,
  publicDemoKey,
} from '../consumers/public-demo.ts';
import { addConsumer } from '../consumers/registration.ts';
import type { SqliteStore } from '../storage/sqlite/store.ts';

/** Makes the demo consumer at the very first start. @returns its keyid, also at later starts. */
export function makeDemo(store: SqliteStore, folder: string, clock: Clock): Promise<string | undefined> {
  return store.commitGroup.run('make the demo consumer', async (tx) => {
    const known = store.demoKeyid();
    if (known !== undefined || store.consumers.list().length > 0) return known;
    const consumer = { name: DEMO_CONSUMER, roles: DEMO_ROLES };
    const issued = await addConsumer(tx.consumers, store.vault, consumer, epochSeconds(clock));
    writeDemoFile(folder, issued);
    store.rememberDemo(issued.keyid);
    const { keyid } = issued;
    await tx.audit.append({
      actor: 'gateway',
      action: 'consumer.add',
      subject: DEMO_CONSUMER,
      detail: { keyid },
    });
    return keyid;
  });
}

/** The public demo is made, renewed or ended as the configuration says now. */
export async function openOrEndDemo(
  store: SqliteStore,
  demo: PublicDemoParts,
  isOpen: boolean,
  clock: Clock,
): Promise<void> {
  const now = epochSeconds(clock);
  const isGood = publicDemoKey(demo, now) !== undefined;
  if (isOpen === isGood) return;
  await store.commitGroup.run('open or end the public demo', (tx) =>
    isOpen ? makePublicDemo(tx, demo, now) : endPublicDemo(tx, demo, now),
  );
}

/** The key of the public demo; a new one where the last one has ended. */
export async function currentDemoKey(
  store: SqliteStore,
  demo: PublicDemoParts,
  clock: Clock,
): Promise<PublicDemoKey | undefined> {
  if (publicDemoExpired(demo, epochSeconds(clock))) await openOrEndDemo(store, demo, true, clock);
  return publicDemoKey(demo, epochSeconds(clock));
}
