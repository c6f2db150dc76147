import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sha256, toHex } from '@waystone/proto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkServed, lookAtPublic } from './published-entries.js';

const ENTRIES = Buffer.alloc(3 * 280, 7);
const HASH = toHex(sha256(ENTRIES));

let server: Server;
let base: string;
const asked: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (request.url === '/moved') response.writeHead(302, { location: '/whole' }).end();
    else if (request.url === '/none') response.writeHead(404).end();
    else {
      const bytes = request.url === '/cut' ? ENTRIES.subarray(280) : ENTRIES;
      response.setHeader('content-length', bytes.length).end(bytes);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

it('takes what is served for served only when it is the file that is committed', async () => {
  await checkServed(`${base}/whole`, HASH);
  for (const path of ['/cut', '/none']) {
    await expect(checkServed(`${base}${path}`, HASH)).rejects.toMatchObject({
      code: 'ENTRIES_NOT_SERVED',
    });
  }
  await expect(checkServed('http://127.0.0.1:1/whole', HASH)).rejects.toMatchObject({
    code: 'ENTRIES_NOT_SERVED',
    message: expect.stringContaining('cannot be read'),
  });
});

it('looks at the public address without fetching the file again', async () => {
  asked.length = 0;
  expect(await lookAtPublic(`${base}/whole`, 3)).toEqual({ code: '', what: '' });
  expect(asked).toEqual(['HEAD /whole']);
  expect(await lookAtPublic(`${base}/cut`, 3)).toMatchObject({ code: 'PUBLISH_URL_DIFFERS' });
  for (const url of [`${base}/none`, `${base}/moved`, 'http://127.0.0.1:1/']) {
    expect(await lookAtPublic(url, 3)).toMatchObject({ code: 'PUBLISH_URL_UNREACHABLE' });
  }
});
