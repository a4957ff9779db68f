/** `eventlogd config`: flag over environment over file over default; every refusal names who said it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { InvalidArgumentError } from '../../client/index.js';
import { checkConfig } from '../../daemon/config.js';
import { isLoopback, parseHttpAddress } from '../../daemon/http/address.js';
import { SETTINGS } from '../../daemon/settings.js';
import { makeFolder, runDaemonProgram } from '../support/daemon.js';

interface Printed {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly origins: Readonly<Record<string, string>>;
}

interface Told {
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly file?: object | string;
}

/** Three values of each setting, so that it shows which of three sources was heard. */
const THREE: Readonly<Record<string, readonly [flag: string, env: string, file: string]>> = {
  dir: ['/a', '/b', '/c'],
  socketPath: ['/a/s', '/b/s', '/c/s'],
  socketMode: ['0660', '0640', '0620'],
  fileMode: ['0664', '0644', '0640'],
  segmentBytes: ['1m', '2m', '4m'],
  logRetentionBytes: ['0', '1k', '2g'],
  diskReserveBytes: ['0', '1m', '1g'],
  eventBytesMax: ['1k', '2k', '3k'],
  logLevel: ['debug', 'warn', 'silent'],
  http: ['127.0.0.1:1', 'localhost:2', '[::1]:3'],
};

async function config(
  t: ExecutionContext,
  { flags = [], environment = {}, file }: Told,
): ReturnType<typeof runDaemonProgram> {
  const folder = await makeFolder(t);
  const path = join(folder, 'e.json');
  if (file !== undefined) {
    await writeFile(path, typeof file === 'string' ? file : JSON.stringify(file));
  }
  const fileFlag = file === undefined ? [] : ['--config', path];
  const pairs = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return await runDaemonProgram(
    ['config', '--json', ...flags, ...fileFlag],
    ['env', '-C', folder, ...pairs],
  );
}

async function printed(t: ExecutionContext, told: Told): Promise<Printed> {
  const { code, output } = await config(t, told);
  t.is(code, 0, output);
  return JSON.parse(output) as Printed;
}

const withValue = SETTINGS.filter(({ key }) => key in THREE);
const pairsOf = (at: 0 | 1 | 2, name: 'flag' | 'env' | 'key'): [string, string][] =>
  withValue.map((setting) => [setting[name], THREE[setting.key]?.[at] ?? '']);

test('every setting: its flag wins over its variable, that over the file, that over the default', async (t) => {
  const environment = Object.fromEntries(pairsOf(1, 'env'));
  const file = Object.fromEntries(pairsOf(2, 'key'));
  const shown = (at: 0 | 1 | 2) =>
    Object.fromEntries(
      withValue.map(({ key, parse, show }) => [key, show(parse(THREE[key]?.[at] ?? '') ?? '')]),
    );

  const all = await printed(t, {
    flags: pairsOf(0, 'flag').flatMap(([flag, value]) => [`--${flag}`, value]),
    environment,
    file,
  });
  t.deepEqual(all.settings, { ...shown(0), httpPublic: false });
  for (const { key, flag } of withValue) t.is(all.origins[key], `--${flag}`);

  const two = await printed(t, { environment, file });
  t.deepEqual(two.settings, { ...shown(1), httpPublic: false });
  for (const { key, env } of withValue) t.is(two.origins[key], `$${env}`);

  const one = await printed(t, { file });
  t.deepEqual(one.settings, { ...shown(2), httpPublic: false });
  for (const { key } of withValue) t.regex(one.origins[key] ?? '', new RegExp(`: ${key}$`));

  const none = await printed(t, { environment: { EVENTLOGD_LOG_LEVEL: '' } });
  for (const { key } of SETTINGS) t.is(none.origins[key], 'default');
  t.like(none.settings, { segmentBytes: 128 * 1024 * 1024, http: 'off', logLevel: 'info' });
});

test('what is printed is a file that says the same', async (t) => {
  const flags = ['--http', '0.0.0.0:9464', '--http-public', '--socket-mode', '660', '--dir', '/x'];
  const first = await printed(t, { flags });
  t.like(first.settings, { httpPublic: true, socketMode: '0660', http: '0.0.0.0:9464' });
  t.deepEqual((await printed(t, { file: first.settings })).settings, first.settings);
});

test('the file may come from the environment; its relative paths begin at its own folder', async (t) => {
  const folder = await makeFolder(t);
  await mkdir(join(folder, 'etc'));
  const path = join(folder, 'etc', 'e.json');
  await writeFile(path, JSON.stringify({ dir: '../journals', fileMode: 640 }));
  const { settings, origins } = await printed(t, { environment: { EVENTLOGD_CONFIG: path } });
  t.is(settings['dir'], join(folder, 'journals'));
  t.is(settings['fileMode'], '0640');
  t.is(origins['dir'], `${path}: dir`);
});

const REFUSED: readonly (readonly [title: string, told: Told, says: RegExp])[] = [
  [
    'a flag',
    { flags: ['--segment-bytes', '1'] },
    /: --segment-bytes: "1" is not a number of bytes/,
  ],
  ['a mode', { flags: ['--socket-mode', '0888'] }, /: --socket-mode: "0888" is not an octal mode/],
  [
    'a variable, also where a flag wins',
    { flags: ['--log-level', 'info'], environment: { EVENTLOGD_LOG_LEVEL: 'loud' } },
    /: \$EVENTLOGD_LOG_LEVEL: "loud" is not one of fatal, /,
  ],
  ['a key of the file', { file: { eventBytesMax: '1t' } }, /e\.json: eventBytesMax: "1t" is not a/],
  ['an unknown key of the file', { file: { segmentByte: 1 } }, /e\.json: "segmentByte" is no sett/],
  ['a file of another shape', { file: { dir: [] } }, /e\.json: it must be a JSON object of texts/],
  ['a file that is no JSON', { file: '{dir' }, /e\.json: .*JSON/],
  ['a file that is not there', { flags: ['--config', 'none.json'] }, /none\.json: ENOENT/],
  ['a switch', { environment: { EVENTLOGD_HTTP_PUBLIC: 'yes' } }, /HTTP_PUBLIC: "yes" is not true/],
  ['an address', { flags: ['--http', '127.0.0.1'] }, /: --http: "127\.0\.0\.1" is not off, or a/],
  [
    'an address that other hosts reach',
    { file: { http: '0.0.0.0:9464' } },
    /e\.json: http: other hosts may reach 0\.0\.0\.0, .* add --http-public/,
  ],
  [
    'a long path of the socket',
    { environment: { EVENTLOGD_SOCKET: `/${'x'.repeat(120)}` } },
    /: \$EVENTLOGD_SOCKET: the socket's path has more than 107 bytes/,
  ],
];
for (const [title, told, says] of REFUSED) {
  test(`refused with 2, and who said it: ${title}`, async (t) => {
    const { code, output } = await config(t, told);
    t.is(code, 2, output);
    t.regex(output, says);
    t.is(output.trim().split('\n').length, 1);
  });
}

test('start takes the same settings and refuses the same', async (t) => {
  const { code, output } = await runDaemonProgram(['start', '--segment-bytes', 'x']);
  t.is(code, 2);
  t.regex(output, /--segment-bytes: "x" is not/);
});

test('a program that starts a daemon is told the name of what is wrong', (t) => {
  const error = t.throws(() => checkConfig({ segmentBytes: 1 }), {
    instanceOf: InvalidArgumentError,
  });
  t.is(error.path, 'segmentBytes');
  t.regex(error.message, /^config\.segmentBytes: 1 is not a number of bytes from 256k to 128m$/);
});

test('which addresses other hosts may reach', (t) => {
  const reach = (text: string): boolean | null => {
    const address = parseHttpAddress(text);
    return address === null ? null : !isLoopback(address);
  };
  for (const own of ['127.0.0.1:1', '127.8.8.8:1', '[::1]:1', 'localhost:1', '127.0.0.1:0'])
    t.false(reach(own), own);
  for (const open of ['0.0.0.0:1', '10.0.0.1:1', '[::]:1', '[fe80::1]:1', 'host:65535'])
    t.true(reach(open), open);
  for (const none of ['', 'off', '1', 'a:', ':1', '::1:1', 'a:65536', '[x]:1', 'a b:1', '[::1]'])
    t.is(reach(none), null, none);
});
