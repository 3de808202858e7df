import { createReadStream, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Permission, permission } from './grants.ts';

/** The fields of an `audit.k8s.io/v1` Event that are read here. */
interface AuditEvent {
  user?: { username?: string };
  impersonatedUser?: object;
  verb: string;
  userAgent?: string;
  objectRef?: { apiGroup?: string; resource?: string; subresource?: string; namespace?: string; name?: string };
  annotations?: Record<string, string>;
}

/** What one account was seen to ask of the API server. */
export interface Asked {
  allowed: Set<Permission>;
  /** With an example of each: namespace and name. */
  refused: Map<Permission, string>;
}

/**
 * A request of the account's own program; undefined for everybody else's. Whoever tests what a stolen token may do sends it with
 * kubectl: those attempts are to be refused, and are no use of a permission. Impersonated requests are an administrator's.
 */
export function requestOf(line: string): { account: string; event: AuditEvent } | undefined {
  if (!line.includes('"system:serviceaccount:')) return undefined;
  const event = JSON.parse(line) as AuditEvent;
  const account = event.user?.username;
  if (!account?.startsWith('system:serviceaccount:') || event.impersonatedUser || !event.objectRef) return undefined;
  return event.userAgent?.startsWith('kubectl/') ? undefined : { account, event };
}

/** Adds a line of the log to what is known of these accounts. */
export function note(asked: ReadonlyMap<string, Asked>, line: string): void {
  const request = requestOf(line);
  const known = request && asked.get(request.account);
  if (!known) return;
  const { verb, objectRef = {}, annotations } = request.event;
  const { apiGroup = '', resource = '', subresource, namespace = '', name = '' } = objectRef;
  const wanted = permission(verb, apiGroup, subresource ? `${resource}/${subresource}` : resource);
  // The authorizer's word: a quota or a policy answers 403 as well.
  if (annotations?.['authorization.k8s.io/decision'] === 'allow') known.allowed.add(wanted);
  else known.refused.set(wanted, `${namespace}/${name}`);
}

/** Reads the log with the parts that the API server has put aside. */
export async function readAudit(log: string, accounts: readonly string[]): Promise<Map<string, Asked>> {
  const asked = new Map(accounts.map((a): [string, Asked] => [a, { allowed: new Set(), refused: new Map() }]));
  const stem = basename(log, '.log');
  const parts = readdirSync(dirname(log)).filter((name) => name.startsWith(stem) && name.endsWith('.log'));
  for (const part of parts) {
    const lines = createInterface({ input: createReadStream(join(dirname(log), part)), crlfDelay: Infinity });
    for await (const line of lines) note(asked, line);
  }
  return asked;
}
