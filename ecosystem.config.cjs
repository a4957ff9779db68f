// pm2: `pm2 start ecosystem.config.cjs`. The daemon only; web workers belong to their own application.
module.exports = {
  apps: [
    {
      name: 'eventlogd',
      cwd: __dirname,
      script: './dist/daemon/main.js',
      args: 'start',

      // One owner per directory. In cluster mode pm2 starts the new daemon before it stops the old
      // one: the lock refuses it, and then the old one goes as well.
      exec_mode: 'fork',
      instances: 1,

      // pm2's probe catches unhandled rejections (the daemon must die of them) and exits without a
      // drain when pm2 itself dies.
      pmx: false,

      // Ready means: locked, recovered, listening. Past listen_timeout pm2 calls it online anyway.
      wait_ready: true,
      listen_timeout: 30_000,

      // The drain ends with a checkpoint; pm2's default of 1.6 s would kill it.
      kill_timeout: 15_000,

      // 65 corrupt or newer format, 78 lock held: starting again does not help.
      stop_exit_codes: [65, 78],

      // Any other death is restarted into recovery, e.g. 74 after an fsync error.
      min_uptime: 2_000,
      max_restarts: 10,
      exp_backoff_restart_delay: 100,
      max_memory_restart: '1G',

      // One NDJSON file of logs as pino wrote them.
      merge_logs: true,

      env: { NODE_ENV: 'production' },
    },
  ],
};
