/** A daemon's HTTP port, as probes and scrapers see it. */
import type { ExecutionContext } from 'ava';
import parsePrometheusTextFormat, { type MetricFamily } from 'parse-prometheus-text-format';
import { type DaemonOptions, type DaemonProcess, startDaemonProcess } from './daemon.js';
import { eventually } from './faults.js';

export interface HttpDaemon extends DaemonProcess {
  readonly url: string;
}

/** Starts a daemon with an HTTP port of its own. */
export async function startHttpDaemon(
  t: ExecutionContext,
  options: DaemonOptions = {},
): Promise<HttpDaemon> {
  const args = ['--http', '127.0.0.1:0', ...(options.args ?? [])];
  const daemon = await startDaemonProcess(t, { ...options, args });
  const url = await eventually(
    async () => /"httpUrl":"(http:[^"]+)"/.exec(daemon.output())?.[1],
    (found) => found !== undefined,
  );
  return { ...daemon, url: url as string };
}

/** The metrics as a Prometheus parser understands them, by name. */
export async function familiesAt(url: string): Promise<ReadonlyMap<string, MetricFamily>> {
  const response = await fetch(`${url}/metrics`);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status}: ${text}`);
  return new Map(parsePrometheusTextFormat(text).map((family) => [family.name, family]));
}

/** The value of a counter or gauge, of those labels. */
export async function valueAt(
  url: string,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number | undefined> {
  const samples = (await familiesAt(url)).get(name)?.metrics ?? [];
  const found = samples.find((sample) =>
    Object.entries(labels).every(([label, value]) => sample.labels?.[label] === value),
  );
  return found?.value === undefined ? undefined : Number(found.value);
}

/** Status and body of a page. */
export async function pageAt(
  url: string,
): Promise<{ readonly status: number; readonly body: string }> {
  const response = await fetch(url, { headers: { connection: 'close' } });
  return { status: response.status, body: await response.text() };
}
