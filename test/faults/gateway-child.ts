/**
 * Runs in a process of its own: a gateway with effects that can be counted, and with a hook that ends it at a statement
 * of the parent's choosing.
 * @module
 */
import { epochSeconds } from '../../src/clock.ts';
import { loadConfig } from '../../src/config/config.ts';
import { addConsumer, type IssuedKey } from '../../src/consumers/registration.ts';
import { type Gateway, startGateway } from '../../src/main.ts';
import { effects, ROLE, type Write } from './effects.ts';
import type { Order } from './gateway-process.ts';
import { layPlan } from './statement-hook.ts';

/** Milliseconds by which this gateway's clock is ahead of the machine's. */
let offset = 0;
const clock = { now: () => Date.now() + offset };
/** Keys are older than any step back of the clock, which would make them not valid yet. */
const anHourAgo = () => epochSeconds(clock) - 3600;
let gateway: Gateway | undefined;

function opened(): Gateway {
  if (!gateway) throw new Error('No gateway is open.');
  return gateway;
}

/** What the harness must find out: the effect commits after its record, so that a kill between the two loses it. */
const afterwards: Write = async (_tx, work) => {
  void opened().store.commitGroup.run('write the effect', work);
};

async function obey(order: Order): Promise<unknown> {
  switch (order.kind) {
    case 'open': {
      const config = loadConfig({
        COUNTERSIGN_DATA: order.folder,
        COUNTERSIGN_PORT: String(order.port),
        COUNTERSIGN_PUBLIC_ORIGINS: order.origins.join(','),
      });
      const endpoints = effects(order.isSabotaged ? afterwards : undefined);
      gateway = await startGateway(config, { clock, endpoints });
      return gateway.port;
    }
    case 'consumers':
      return consumers(order.names);
    case 'plan':
      layPlan(order.plan);
      return undefined;
    case 'clock':
      offset = order.offset;
      return undefined;
    case 'purge':
      return opened().store.purge();
    case 'close':
      return opened().close();
  }
}

function consumers(names: readonly string[]): Promise<IssuedKey[]> {
  const { store } = opened();
  return store.commitGroup.run('add consumers', async (tx) => {
    const keys: IssuedKey[] = [];
    for (const name of names) {
      keys.push(await addConsumer(tx.consumers, store.vault, { name, roles: [ROLE] }, anHourAgo()));
    }
    return keys;
  });
}

process.on('message', (order: Order & { readonly id: number }) => {
  obey(order).then(
    (result) => process.send?.({ id: order.id, result }),
    (error: unknown) => process.send?.({ id: order.id, error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ id: 0 });
