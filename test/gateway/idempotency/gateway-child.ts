/** Runs in a process of its own: a gateway with the counters, as its arguments say. */
import { loadConfig, startGateway } from '../../../src/index.ts';
import { counters } from './counter.ts';

const [folder = '', settings = ''] = process.argv.slice(2);
const config = loadConfig({
  COUNTERSIGN_DATA: folder,
  COUNTERSIGN_PORT: '0',
  COUNTERSIGN_PUBLIC_ORIGINS: 'http://gateway.test',
  ...(settings && { COUNTERSIGN_CONFIG: settings }),
});
const gateway = await startGateway(config, {
  endpoints: counters,
  deliver: {
    raised: (payload, key) => void process.stdout.write(`${JSON.stringify({ payload, key })}\n`),
  },
});
process.on('disconnect', () => process.exit());
process.send?.(gateway.port);
