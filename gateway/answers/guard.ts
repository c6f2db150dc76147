import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import type { MiddlewareHandler } from 'hono';
import { WaystoneError } from '../core/errors.js';

/** Lets in only who knows the API token, as `Authorization: Bearer …`. */
export function requireToken(token: string): MiddlewareHandler {
  const expected = digest(token);
  return async (context, next) => {
    const given = /^Bearer +(\S+) *$/i.exec(context.req.header('authorization') ?? '')?.[1];
    if (given === undefined) {
      context.header('WWW-Authenticate', 'Bearer realm="waystone"');
      throw new WaystoneError(
        'TOKEN_MISSING',
        'this needs the header "Authorization: Bearer <token>"; the token is in the file api-token of the gateway\'s home',
      );
    }
    // Digests have one length, so the comparison tells nothing about the token, not even its length.
    if (!timingSafeEqual(digest(given), expected)) {
      context.header('WWW-Authenticate', 'Bearer realm="waystone", error="invalid_token"');
      throw new WaystoneError(
        'TOKEN_WRONG',
        "the token is not this gateway's; it is in the file api-token of the gateway's home",
      );
    }
    await next();
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/**
 * Refuses requests for names that are not this gateway's, when it listens on loopback: else any web page
 * could reach it from the operator's browser through a name that it makes resolve to 127.0.0.1.
 */
export function requireOwnHost(host: string, publicUrl = ''): MiddlewareHandler {
  const allowed = new Set(['localhost', '127.0.0.1', '[::1]', hostInUrl(host).toLowerCase()]);
  // A proxy may pass on the name that it was asked for.
  if (publicUrl !== '') allowed.add(new URL(publicUrl).hostname.toLowerCase());
  return async (context, next) => {
    const name = (context.req.header('host') ?? '').replace(/:\d*$/, '').toLowerCase();
    if (isLoopback(host) && !allowed.has(name)) {
      throw new WaystoneError(
        'HOST_FORBIDDEN',
        `this gateway answers to ${[...allowed].join(', ')} only; set http.host to open it to the network`,
      );
    }
    await next();
  };
}

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** An IPv6 address stands in brackets in URLs. */
export function hostInUrl(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}

/** Nothing may load but what the page itself brings; nothing may frame it. */
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export const securityHeaders: MiddlewareHandler = async (context, next) => {
  await next();
  const headers = context.res.headers;
  headers.set('Content-Security-Policy', PAGE_POLICY);
  headers.set('X-Content-Type-Options', 'nosniff');
  headers.set('X-Frame-Options', 'DENY');
  headers.set('Referrer-Policy', 'no-referrer');
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Resource-Policy', 'same-origin');
  headers.set('Permissions-Policy', 'camera=(), geolocation=(), microphone=()');
  headers.set('Cache-Control', 'no-store');
};
