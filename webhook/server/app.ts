import type { IncomingMessage, ServerResponse } from 'node:http';
import express, { type NextFunction, type Request, type Response } from 'express';
import { formatReview } from './review.ts';

export interface Health {
  /** What is missing before calls can succeed: names for a person; empty when ready. */
  pending(): string[];
  /** Whether the process is on its way out. */
  draining(): boolean;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** What stands behind the webhook's HTTPS port. */
export function webhookApp(health: Health, mutate: Handler): express.Express {
  const app = bare();
  app.use((_request: Request, response: Response, next: NextFunction) => {
    // Who keeps a connection to a process that ends would lose the call after next.
    if (health.draining()) response.setHeader('connection', 'close');
    next();
  });
  app.post('/mutate', mutate);
  app.all('/mutate', methodNotAllowed);
  addHealth(app, health);
  return finish(app);
}

/** What stands behind the plain port, for the kubelet and for Prometheus. */
export function metricsApp(
  health: Health,
  metrics: { contentType: string; metrics(): Promise<string> },
): express.Express {
  const app = bare();
  app.get('/metrics', async (_request: Request, response: Response) => {
    text(response, 200, await metrics.metrics(), metrics.contentType);
  });
  addHealth(app, health);
  return finish(app);
}

/** Express with nothing that a machine's caller needs: no ETags over bodies, no query parsing, no banner. */
function bare(): express.Express {
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', false);
  return app;
}

function addHealth(app: express.Express, health: Health): void {
  app.get('/healthz', (_request: Request, response: Response) => text(response, 200, 'ok\n'));
  app.get('/readyz', (_request: Request, response: Response) => {
    const missing = health.draining() ? ['shutting down'] : health.pending();
    if (missing.length === 0) return text(response, 200, 'ok\n');
    return text(response, 503, `not ready: ${missing.join(', ')}\n`);
  });
}

function finish(app: express.Express): express.Express {
  app.use((_request: Request, response: Response) => text(response, 404, 'not found\n'));
  // Express wants all four parameters to see an error handler.
  app.use((_error: unknown, _request: Request, response: Response, _next: NextFunction) =>
    text(response, 400, 'bad request\n'),
  );
  return app;
}

function methodNotAllowed(_request: Request, response: Response): void {
  const body = formatReview('', { allowed: false, code: 405, message: 'reviews are sent with POST' });
  response.setHeader('allow', 'POST');
  text(response, 405, body, 'application/json');
}

function text(response: Response, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  if (response.headersSent) return;
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body);
}
