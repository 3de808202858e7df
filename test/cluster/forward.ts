import { spawn } from 'node:child_process';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { insideCommand, insideEnvironment } from './environment.ts';
import type { Paths } from './paths.ts';

// A browser of the machine looks into the cluster's network: this process listens outside, and hands the listening sockets to a
// child inside the network namespace, which accepts and connects on.

export interface Forward {
  /** Port on the loopback address of the machine. */
  localPort: number;
  /** Name or address as seen inside, such as `prometheus.istio-system`. */
  host: string;
  port: number;
}

/** @throws Error that names the argument, if it is not `LOCAL=HOST:PORT` */
export function parseForward(text: string): Forward {
  const match = /^(\d{1,5})=([a-z0-9][a-z0-9.-]*):(\d{1,5})$/.exec(text);
  const [localPort, port] = [Number(match?.[1]), Number(match?.[3])];
  if (!match || localPort < 1 || localPort > 65535 || port < 1 || port > 65535) {
    throw new Error(
      `${JSON.stringify(text)} is not of the form LOCALPORT=HOST:PORT, such as 9090=prometheus.istio-system:9090`,
    );
  }
  return { localPort, host: match[2]!, port };
}

function listen({ localPort }: Forward): Promise<Server> {
  const server = createServer({ pauseOnConnect: true });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? new Error(`port ${localPort} of this machine is taken`) : error),
    );
    server.listen(localPort, '127.0.0.1', () => resolve(server));
  });
}

/** Forwards until the caller's process ends or is interrupted. */
export async function forward(paths: Paths, forwards: readonly Forward[]): Promise<void> {
  const servers = await Promise.all(forwards.map(listen));
  const [program = '', ...args] = insideCommand(paths, [process.execPath, import.meta.filename, 'inside']);
  const child = spawn(program, args, {
    env: insideEnvironment(paths),
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  await Promise.all(
    forwards.map((target, i) => {
      return new Promise<void>((resolve, reject) => {
        child.send(target, servers[i], (error) => {
          // The child accepts from now on; two acceptors would share the connections.
          servers[i]!.close();
          if (error) reject(error);
          else resolve();
        });
      });
    }),
  );
  await new Promise<void>((resolve) => child.once('exit', () => resolve()));
}

function join(outside: Socket, { host, port }: Forward): void {
  const inside = connect(port, host);
  const end = () => {
    outside.destroy();
    inside.destroy();
  };
  outside.on('error', end).on('close', end);
  inside.on('error', end).on('close', end);
  outside.pipe(inside).pipe(outside);
  outside.resume();
}

if (process.argv[1] === import.meta.filename && process.argv[2] === 'inside') {
  process.on('message', (target: Forward, server: Server) => server.on('connection', (socket) => join(socket, target)));
  process.on('disconnect', () => process.exit(0));
}
