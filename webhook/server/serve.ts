import { createServer as createHttpServer, type Server as HttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

/** The API server keeps idle connections for 90 s (Go's default): we must not be the first to close one, or a call is lost with it. */
const KEEP_ALIVE_MS = 120_000;
/**
 * From the opening of a connection to the end of the first head. Go opens connections ahead of need, and they stay without a request as
 * long as idle ones. Bodies have a much shorter limit of their own (`body.ts`).
 */
const HEADERS_MS = 130_000;
/** At least HEADERS_MS, or Node.js refuses the pair. */
const REQUEST_MS = 130_000;
const HANDSHAKE_MS = 10_000;
/** A handful of API servers with some connections each are normal; without a limit anybody could take our memory. */
const MAX_CONNECTIONS = 1024;
const MAX_HEADER_BYTES = 16 * 1024;

/** Calls still being answered when the server closes: longer than any may take. */
const LAST_CALLS_MS = 4000;
const POLL_MS = 20;

export interface TlsPair {
  certificate: string;
  key: string;
}

export interface WebServer {
  /** @returns the port, of interest where 0 was asked for */
  listen(port: number): Promise<number>;
  /** Takes no more connections, lets the calls in progress end, then drops what is left. */
  stop(): Promise<void>;
}

export interface TlsServer extends WebServer {
  /** Serves this certificate to new connections; those that are open go on. */
  use(pair: TlsPair): void;
  /** Checks the certificates of new callers against these CAs (PEM). Nobody needs one to connect: who may do what is decided later. */
  trust(clientCa: string): void;
}

export function createTlsServer(listener: RequestListener, { askForCertificates = false } = {}): TlsServer {
  const server = createHttpsServer(
    {
      minVersion: 'TLSv1.2',
      handshakeTimeout: HANDSHAKE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      // The kubelet's probes have none: a caller that is asked for one and has none connects all the same.
      requestCert: askForCertificates,
      rejectUnauthorized: false,
    },
    listener,
  );
  let pair: TlsPair | undefined;
  let ca: string | undefined;
  const update = () => {
    if (!pair) return;
    // Without a CA named, Node.js would accept certificates of all public ones.
    const callers = askForCertificates ? { ca: ca ?? [] } : {};
    server.setSecureContext({ cert: pair.certificate, key: pair.key, ...callers, minVersion: 'TLSv1.2' });
  };
  return {
    ...lifecycle(server),
    use: (next) => {
      pair = next;
      update();
    },
    trust: (clientCa) => {
      ca = clientCa;
      update();
    },
  };
}

export function createPlainServer(listener: RequestListener): WebServer {
  return lifecycle(createHttpServer({ maxHeaderSize: MAX_HEADER_BYTES }, listener));
}

function lifecycle(server: HttpServer | HttpsServer): WebServer {
  let inFlight = 0;
  // Node's own list has no connections that are still in their handshake; those would keep the server from ending.
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('request', (_request, response) => {
    inFlight++;
    response.once('close', () => inFlight--);
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.headersTimeout = HEADERS_MS;
  server.requestTimeout = REQUEST_MS;
  server.maxConnections = MAX_CONNECTIONS;
  return {
    listen: (port) =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, () => resolve((server.address() as AddressInfo).port));
      }),
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      const endMs = performance.now() + LAST_CALLS_MS;
      while (inFlight > 0 && performance.now() < endMs) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
