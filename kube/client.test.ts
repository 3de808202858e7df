import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { createKubeClient, warningsOf } from './client.ts';

test('warnings are taken out of the header as they were meant', () => {
  expect(warningsOf(undefined)).toEqual([]);
  expect(warningsOf('299 - "plain"')).toEqual(['plain']);
  expect(warningsOf('299 - "one, with a comma", 299 - "two \\"quoted\\" \\\\"')).toEqual([
    'one, with a comma',
    'two "quoted" \\',
  ]);
  expect(warningsOf('110 - "stale"')).toEqual([]);
});

test('a client tells the warnings of its answers, refusals too', async () => {
  const server = createServer((request, response) => {
    response.setHeader('warning', ['299 - "first"', `299 - "${request.method}"`]);
    response.statusCode = request.method === 'GET' ? 200 : 422;
    response.end('{"message": "no"}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const warnings: string[] = [];
    const access = {
      getCurrentCluster: () => ({ server: `http://127.0.0.1:${port}` }),
      applyToHTTPSOptions: async () => {},
    };
    const client = createKubeClient(access, { onWarning: (text) => warnings.push(text) });
    await client.raw('GET', '/a');
    await expect(client.raw('POST', '/a', {})).rejects.toThrow('no');
    expect(warnings).toEqual(['first', 'GET', 'first', 'POST']);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
