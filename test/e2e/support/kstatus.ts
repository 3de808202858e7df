import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Deployment } from '../../../kube/types.ts';
import { sleep } from './cluster.ts';

/** What the published library makes of one object: `Current`, `InProgress`, `Failed`, … and why. */
export interface Kstatus {
  status: string;
  message: string;
}

/** The library that Flux and Helm wait with, as a process that is asked again and again (test/cluster/modules/helm/kstatus). */
export class KstatusClient {
  readonly #process: ChildProcessWithoutNullStreams = spawn('kstatus', []);
  readonly #waiting: { resolve: (answer: Kstatus) => void; reject: (e: Error) => void }[] = [];

  constructor() {
    createInterface({ input: this.#process.stdout }).on('line', (line) => {
      const [, status = '', message = '""'] = /^(\w+) (".*")$/.exec(line) ?? [];
      this.#waiting.shift()?.resolve({ status, message: JSON.parse(message) as string });
    });
    let complaint = '';
    this.#process.stderr.on('data', (chunk) => (complaint += chunk));
    const end = (e: Error) => {
      for (const { reject } of this.#waiting.splice(0)) reject(e);
    };
    this.#process.on('error', end);
    this.#process.on('close', () => end(new Error(`kstatus ended: ${complaint}`)));
  }

  of(deployment: Deployment): Promise<Kstatus> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#process.stdin.write(`${JSON.stringify({ apiVersion: 'apps/v1', kind: 'Deployment', ...deployment })}\n`);
    });
  }

  /** As Flux does: until the object is current (0) or failed (1). */
  async wait(ask: () => Promise<Deployment>, timeoutMs: number): Promise<{ code: number } & Kstatus> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const answer = await this.of(await ask());
      if (answer.status === 'Current') return { code: 0, ...answer };
      if (answer.status === 'Failed') return { code: 1, ...answer };
      if (Date.now() > end) return { code: 2, ...answer };
      await sleep(250);
    }
  }

  end(): void {
    this.#process.stdin.end();
  }
}
