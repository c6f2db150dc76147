import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { homeFolder, loadConfig, loadToken } from '../config/index.js';
import { WaystoneError } from '../core/errors.js';

/** File of the home in which a running gateway writes the address of its API. */
const ADDRESS_FILE = 'http-address';

export interface Endpoint {
  /** Without a slash at its end. */
  readonly url: string;
  readonly token: string;
}

export interface EndpointSources {
  readonly home: string | undefined;
  readonly url: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export function addressFile(home: string): string {
  return join(home, ADDRESS_FILE);
}

/**
 * Where the gateway's API is: `--url`, else WAYSTONE_URL, else what the running gateway of this home wrote
 * down (its port may come from a flag), else what the configuration says.
 *
 * @throws WaystoneError URL_INVALID, TOKEN_MISSING, CONFIG_INVALID, HOME_MISSING, KEY_EXPOSED.
 */
export async function findEndpoint(sources: EndpointSources): Promise<Endpoint> {
  const home = homeFolder(sources);
  const named = sources.url || sources.environment.WAYSTONE_URL;
  const url = named ? checkUrl(named) : await urlOfHome(home, sources);
  const given = sources.environment.WAYSTONE_TOKEN;
  if (given) return { url: withoutSlash(url), token: given };
  // The token of this machine's gateway must not be sent to another machine.
  if (!isThisMachine(url)) {
    throw new WaystoneError(
      'TOKEN_MISSING',
      `set WAYSTONE_TOKEN to the API token of the gateway at ${url.host}`,
    );
  }
  return { url: withoutSlash(url), token: await loadToken(home) };
}

/** The URL that a client on this machine uses for an address that a server listens on. */
export function localUrl(host: string, port: number): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${isIP(reachable) === 6 ? `[${reachable}]` : reachable}:${port}`;
}

async function urlOfHome(home: string, sources: EndpointSources): Promise<URL> {
  const written = await readFile(addressFile(home), 'utf8').catch(() => '');
  if (URL.canParse(written.trim())) return new URL(written.trim());
  const { http } = loadConfig({ home, environment: sources.environment });
  return new URL(localUrl(http.host, http.port));
}

function checkUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && /^https?:$/.test(url.protocol) && url.username === '') return url;
  throw new WaystoneError(
    'URL_INVALID',
    `the gateway's URL must look like http://127.0.0.1:8484, got ${JSON.stringify(text)}`,
  );
}

function isThisMachine(url: URL): boolean {
  const { hostname } = url;
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.[\d.]+$/.test(hostname);
}

function withoutSlash(url: URL): string {
  return url.href.replace(/[?#].*$/, '').replace(/\/+$/, '');
}
