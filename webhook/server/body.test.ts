import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { BodyReader, MAX_BODY_BYTES } from './body.ts';

const request = () => Object.assign(new PassThrough(), { headers: {} }) as unknown as IncomingMessage & PassThrough;

test('a few clients that send much and stop do not keep the API server’s small reviews out', async () => {
  const bodies = new BodyReader({ timeoutMs: 300 });
  const stalled = [request(), request(), request()];
  const reads = stalled.map((r) => bodies.read(r, async () => 'x').catch(() => 'late'));
  const parts = [MAX_BODY_BYTES - 100_000, MAX_BODY_BYTES - 100_000, 195_000];
  for (const [i, r] of stalled.entries()) r.write(Buffer.alloc(parts[i]!));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const small = request();
  const answer = bodies.read(small, async (b) => b.length).catch((e: { status: number }) => e.status);
  small.end(Buffer.alloc(10 * 1024));
  expect(await answer).toBe(10 * 1024);
  await Promise.all(reads);
});
