/**
 * Where HTTP is served: its text form, and whether other hosts reach it.
 *
 * @module
 */
import { BlockList, isIP } from 'node:net';

const PORT_MAX = 65_535;

/** What the setting says where nothing is served. */
const HTTP_OFF = 'off';

export interface HttpAddress {
  readonly host: string;
  readonly port: number;
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8);
loopback.addAddress('::1', 'ipv6');

/** An address from its text, such as `127.0.0.1:9464`; null where it is none. */
export function parseHttpAddress(text: string): HttpAddress | null {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):([0-9]+)$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port > PORT_MAX) return null;
  return bracketed !== undefined && isIP(bracketed) !== 6 ? null : { host, port };
}

/** Whether the setting is `off` or an address. */
export function isHttpSetting(text: string): boolean {
  return text === HTTP_OFF || parseHttpAddress(text) !== null;
}

/** Whether only this host reaches the address; a name other than `localhost` may lead anywhere. */
export function isLoopback({ host }: HttpAddress): boolean {
  const family = isIP(host);
  if (family === 0) return host === 'localhost';
  return loopback.check(host, family === 6 ? 'ipv6' : 'ipv4');
}
