/** Runs `eventlogd` as a cluster worker and ends as it ends. */
import cluster from 'node:cluster';
import { fileURLToPath } from 'node:url';

cluster.setupPrimary({
  exec: fileURLToPath(new URL('../../daemon/main.js', import.meta.url)),
  args: process.argv.slice(2),
});
cluster.fork().once('exit', (code) => {
  process.exitCode = code;
});
