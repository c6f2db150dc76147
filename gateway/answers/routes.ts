import { DATASET_FILES } from '@waystone/proto';
import { type Context, Hono } from 'hono';
import { messageOf, WaystoneError } from '../core/errors.js';
import type { Logger } from '../core/logger.js';
import type { GatewayView } from '../core/view.js';
import { datasetFileResponse, metadataResponse } from './dataset-file.js';
import { requireOwnHost, requireToken, securityHeaders } from './guard.js';
import { loadPage } from './page-files.js';
import {
  batchParameter,
  carriedParameter,
  didParameter,
  folderParameter,
  LIMIT_MAX,
  limitParameter,
  metadataParameter,
  noteParameter,
  relayParameter,
  requireFields,
  rootParameter,
  sequenceParameter,
  sessionParameter,
  streamParameter,
} from './parameters.js';
import { readJsonObject } from './request-body.js';
import { statusOfCode } from './status-codes.js';

/** Items of a list when `limit` is not given. */
const LIMIT_DEFAULT = 50;

export interface AppOptions {
  /** Address that the server listens on. */
  readonly host: string;
  readonly token: string;
  /** Address at which others reach it; "" for none. */
  readonly publicUrl?: string;
}

export interface AppDeps {
  readonly view: GatewayView;
  readonly logger: Logger;
}

/** The HTTP API and the status page, without a server. */
export function buildApp(options: AppOptions, { view, logger }: AppDeps): Hono {
  const app = new Hono();

  app.use(securityHeaders);
  app.use(requireOwnHost(options.host, options.publicUrl));

  app.get('/healthz', (context) => context.json({ alive: true }));
  app.get('/readyz', (context) => {
    const why = view.notReady();
    if (why !== null) throw new WaystoneError('NOT_READY', why);
    return context.json({ ready: true });
  });
  for (const { path, contentType, content } of loadPage()) {
    app.get(path, (context) => context.body(content, 200, { 'Content-Type': contentType }));
  }

  // What is on chain names it, for anyone who wants to check; the root is known only from there or from the files.
  app.get('/entries/:root', async (context) => {
    const root = rootParameter(context.req.param('root'));
    const folder = await view.datasetFolder(root);
    if (folder === null) throw datasetUnknown(root);
    const isHead = context.req.method === 'HEAD';
    return await datasetFileResponse(folder, DATASET_FILES.entries, isHead);
  });

  app.get('/metadata/:file', async (context) => {
    const tokenId = metadataParameter(context.req.param('file'));
    return await metadataResponse(view.metadataFile(tokenId), tokenId);
  });

  // Before every handler: who does not know the token cannot even make the gateway read a body.
  app.use('/v1/*', requireToken(options.token));
  app.use('/metrics', requireToken(options.token));

  app.get('/metrics', async (context) =>
    context.body(await view.metrics(), 200, {
      'Content-Type': 'text/plain; version=0.0.4; charset=utf-8',
    }),
  );

  app.get('/v1/status', async (context) => context.json(await view.status()));

  app.get('/v1/devices', async (context) => {
    const limit = limitParameter(context.req.query('limit'), LIMIT_MAX);
    const after = context.req.query('after');
    const devices = await view.devices(limit, after === undefined ? null : didParameter(after));
    return context.json({ devices });
  });
  app.post('/v1/devices', async (context) => {
    const body = await readJsonObject(context.req.raw);
    requireFields(body, ['did', 'label']);
    const did = didParameter(body.did);
    return context.json(await view.enrol(did, noteParameter('label', body.label)), 201);
  });
  app.delete('/v1/devices/:did', async (context) => {
    const did = didParameter(context.req.param('did'));
    const reason = noteParameter('reason', context.req.query('reason'));
    return context.json(await view.revoke(did, reason));
  });

  app.get('/v1/relays', async (context) => context.json({ relays: await view.relays() }));
  app.post('/v1/relays', async (context) => {
    const body = await readJsonObject(context.req.raw);
    requireFields(body, ['name', 'did', 'devices']);
    const request = {
      name: relayParameter(body.name),
      did: body.did === undefined ? null : didParameter(body.did),
      devices: carriedParameter(body.devices),
    };
    return context.json(await view.addRelay(request), 201);
  });
  app.put('/v1/relays/:name/devices', async (context) => {
    const name = relayParameter(context.req.param('name'));
    const body = await readJsonObject(context.req.raw);
    requireFields(body, ['devices']);
    return context.json(await view.setRelayDevices(name, carriedParameter(body.devices)));
  });
  app.delete('/v1/relays/:name', async (context) =>
    context.json(await view.removeRelay(relayParameter(context.req.param('name')))),
  );

  app.get('/v1/forge', async (context) => context.json(await view.forge()));
  for (const change of ['retry', 'pause', 'resume'] as const) {
    app.post(`/v1/forge/${change}`, async (context) => {
      logger.info({ change }, 'forging changed on request');
      return context.json(await view.changeForge(change));
    });
  }

  app.get('/v1/batches', async (context) => {
    const limit = limitParameter(context.req.query('limit'), LIMIT_DEFAULT);
    return context.json({ batches: await view.batches(limit) });
  });
  app.post('/v1/batches/seal', async (context) => {
    const batches = await view.sealNow();
    logger.info({ batches }, 'open batches closed on request');
    return context.json({ batches });
  });
  app.get('/v1/batches/:id', async (context) => {
    const id = batchParameter(context.req.param('id'));
    const batch = await view.batch(id);
    if (batch === null) throw new WaystoneError('BATCH_UNKNOWN', `there is no batch ${id}`);
    return context.json(batch);
  });

  app.get('/v1/datasets', async (context) => {
    const limit = limitParameter(context.req.query('limit'), LIMIT_DEFAULT);
    return context.json({ datasets: await view.datasets(limit) });
  });
  app.get('/v1/datasets/:root', async (context) => {
    const root = rootParameter(context.req.param('root'));
    const dataset = await view.dataset(root);
    if (dataset === null) throw datasetUnknown(root);
    return context.json(dataset);
  });
  app.get('/v1/datasets/:root/files/:name', async (context) => {
    const root = rootParameter(context.req.param('root'));
    const folder = await view.datasetFolder(root);
    if (folder === null) throw datasetUnknown(root);
    const isHead = context.req.method === 'HEAD';
    return await datasetFileResponse(folder, context.req.param('name'), isHead);
  });

  app.get('/v1/proofs/:device/:session/:stream/:sequence', async (context) => {
    const did = didParameter(context.req.param('device'));
    const session = sessionParameter(context.req.param('session'));
    const stream = streamParameter(context.req.param('stream'));
    const sequence = sequenceParameter(context.req.param('sequence'));
    const answer = await view.proof(did, session, stream, sequence);
    switch (answer.state) {
      case 'proved':
        // The body is the proof file itself: `curl … > proof.json && waystone verify proof.json`.
        return context.json(answer.proof as object);
      case 'waiting':
        return context.json(answer, 202);
      case 'absent':
        throw new WaystoneError(
          'FRAME_UNKNOWN',
          `frame ${sequence} of session ${session}, stream ${stream}, of ${did} is not stored here`,
        );
    }
  });

  app.get('/v1/refusals', async (context) => {
    const limit = limitParameter(context.req.query('limit'), LIMIT_DEFAULT);
    return context.json({ refusals: await view.refusals(limit) });
  });

  app.post('/v1/backup', async (context) => {
    const body = await readJsonObject(context.req.raw);
    requireFields(body, ['folder']);
    const backup = await view.backup(folderParameter(body.folder));
    logger.info(backup, 'backup written');
    return context.json(backup, 201);
  });

  const paths = [...new Set(app.routes.filter(isRoute).map((route) => route.path))];
  const routes = [...new Set(app.routes.filter(isRoute).map(nameOfRoute))];
  app.notFound((context) => {
    const methods = app.routes
      .filter((route) => isRoute(route) && matches(route.path, context.req.path))
      .map((route) => route.method);
    const { method, path } = context.req;
    if (methods.length > 0) {
      context.header('Allow', methods.join(', '));
      return failure(context, 'METHOD_UNSUPPORTED', `${path} knows ${methods.join(', ')} only`);
    }
    const known = method === 'GET' ? paths : routes;
    return failure(context, 'ROUTE_UNKNOWN', `there is no ${path}; there are ${known.join(', ')}`);
  });

  app.onError((error, context) => {
    if (error instanceof WaystoneError && statusOfCode(error.code) !== 500) {
      return failure(context, error.code, error.message);
    }
    // A broken promise of ours: the log has the whole story, the client learns that it is not its fault.
    const { method, path } = context.req;
    logger.error({ err: error, method, path }, 'request failed');
    return error instanceof WaystoneError
      ? failure(context, error.code, error.message)
      : failure(context, 'INTERNAL', `the gateway failed: ${messageOf(error)}`);
  });

  return app;
}

function failure(context: Context, code: string, message: string): Response {
  return context.json({ error: { code, message } }, statusOfCode(code));
}

function datasetUnknown(root: string): WaystoneError {
  return new WaystoneError('DATASET_UNKNOWN', `there is no sealed dataset ${root}`);
}

interface Route {
  readonly method: string;
  readonly path: string;
}

function isRoute(route: Route): boolean {
  return route.method !== 'ALL';
}

function nameOfRoute(route: Route): string {
  return `${route.method} ${route.path}`;
}

/** Whether a route's pattern takes a path; `:name` stands for one part. */
function matches(pattern: string, path: string): boolean {
  const parts = path.split('/');
  const wanted = pattern.split('/');
  return (
    parts.length === wanted.length &&
    wanted.every((part, at) => part === parts[at] || (part.startsWith(':') && parts[at] !== ''))
  );
}
