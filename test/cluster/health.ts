import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { API_URL } from './network.ts';
import type { Paths } from './paths.ts';
import { pkiFile } from './pki.ts';

/** Milliseconds for one answer; the caller asks again. */
const REQUEST_TIMEOUT = 5000;

interface Answer {
  readonly status: number;
  readonly body: string;
}

function get(
  url: string,
  tls: { ca?: Buffer; cert?: Buffer; key?: Buffer; rejectUnauthorized?: boolean } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = url.startsWith('https:') ? httpsRequest : httpRequest;
    const sent = request(url, { ...tls, agent: false, timeout: REQUEST_TIMEOUT }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer from ${url}`)));
    sent.on('error', reject);
    sent.end();
  });
}

/** Whether a health endpoint answers 200. The certificates of scheduler and controller manager are self-signed: only health is read. */
export async function isHealthy(url: string): Promise<boolean> {
  return (await get(url, { rejectUnauthorized: false })).status === 200;
}

/**
 * Reads a path of the API server as the administrator.
 *
 * @returns the body, or undefined for every other status than 200
 */
export async function readApi(paths: Paths, path: string): Promise<string | undefined> {
  const tls = {
    ca: readFileSync(pkiFile(paths, 'ca.crt')),
    cert: readFileSync(pkiFile(paths, 'admin.crt')),
    key: readFileSync(pkiFile(paths, 'admin.key')),
  };
  const answer = await get(`${API_URL}${path}`, tls);
  return answer.status === 200 ? answer.body : undefined;
}
