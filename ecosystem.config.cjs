// pm2: `pm2 start ecosystem.config.cjs` starts the daemon and the example chat page on ./data.
// Your own workers take the place of the second app; docs/operations.md says the rest.
module.exports = {
  apps: [
    {
      name: 'eventlogd',
      cwd: __dirname,
      script: './dist/daemon/main.js',
      // --json: all that it prints is JSON lines, pino's and its own.
      args: 'start --json',

      // One owner per directory. In cluster mode pm2 starts the new daemon before it stops the old
      // one: the lock refuses it, and then the old one goes as well.
      exec_mode: 'fork',
      instances: 1,

      // pm2's probe catches unhandled rejections (the daemon must die of them) and exits without a
      // drain when pm2 itself dies. The daemon reports its metrics by itself.
      pmx: false,

      // Ready means: locked, recovered, listening. Past listen_timeout pm2 calls it online anyway,
      // which harms nobody: clients wait. Recovery takes up to 3 s per 64 MiB of log.
      wait_ready: true,
      listen_timeout: 30_000,

      // A drain answers what was accepted (each connection is given 2 s to end, twice) and ends
      // with a checkpoint of up to 4,096 files; pm2's default of 1.6 s would kill it.
      kill_timeout: 15_000,

      // 65 corrupt or newer format, 78 lock held: starting again does not help.
      stop_exit_codes: [65, 78],

      // Any other death is restarted into recovery, e.g. 74 after an fsync error: at once, then
      // more and more slowly, and never given up.
      exp_backoff_restart_delay: 100,
      max_restarts: Number.MAX_SAFE_INTEGER,

      // Above what the limits let it take (indexes 512 MiB, requests 256 MiB, and its own 150).
      max_memory_restart: '2G',

      // One file of logs.
      merge_logs: true,

      env: { NODE_ENV: 'production' },
    },
    {
      name: 'webui',
      cwd: __dirname,
      script: './examples/webui/server.js',

      // The workers share one port, and a reload starts a new one before it stops an old one.
      exec_mode: 'cluster',
      instances: 4,

      pmx: false,

      // Ready means: connected to the daemon and listening. All apps start at the same time; a
      // worker that is there first waits for the daemon.
      wait_ready: true,
      listen_timeout: 30_000,

      // A worker brings the answers that it is writing to an end, within 8 s.
      kill_timeout: 10_000,

      exp_backoff_restart_delay: 100,
      merge_logs: true,

      env: { NODE_ENV: 'production', PORT: process.env.PORT ?? 8080 },
    },
  ],
};
