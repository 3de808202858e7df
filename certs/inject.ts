import type { Operation } from 'fast-json-patch';
import type { KubeClient } from '../kube/client.ts';
import { isConflict, isKubeError } from '../kube/errors.ts';
import { MUTATING_WEBHOOKS } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';
import { splitBundle } from './material.ts';

export interface MutatingWebhookConfiguration extends KubeObject {
  webhooks?: { name: string; clientConfig: { caBundle?: string } }[];
}

/**
 * The patch that makes every webhook of the configuration trust exactly these CAs; undefined if they do. Valid for this version of the
 * object alone: whoever changed it in between gets a second look.
 */
export function injectionPatch(
  configuration: MutatingWebhookConfiguration,
  bundle: readonly string[],
): Operation[] | undefined {
  const caBundle = Buffer.from(bundle.join('')).toString('base64');
  const wrong = (configuration.webhooks ?? []).flatMap(({ clientConfig }, index) =>
    clientConfig.caBundle === caBundle ? [] : [index],
  );
  if (wrong.length === 0) return undefined;
  return [
    { op: 'test', path: '/metadata/resourceVersion', value: configuration.metadata.resourceVersion ?? '' },
    ...wrong.map(
      (index): Operation => ({ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value: caBundle }),
    ),
  ];
}

/** The CAs that every webhook of the configuration trusts. */
export function injectedCas(configuration: MutatingWebhookConfiguration | undefined): Set<string> {
  const { webhooks = [] } = configuration ?? {};
  const [first = [], ...others] = webhooks.map(({ clientConfig }) =>
    splitBundle(Buffer.from(clientConfig.caBundle ?? '', 'base64').toString('utf8')),
  );
  return new Set(first.filter((ca) => others.every((bundle) => bundle.includes(ca))));
}

/** @returns the configuration as it is now, or undefined if it was changed meanwhile: its watch brings the newer one */
export async function inject(
  client: KubeClient,
  { metadata: { name } }: MutatingWebhookConfiguration,
  patch: Operation[],
  signal: AbortSignal,
): Promise<MutatingWebhookConfiguration | undefined> {
  try {
    return await client.patch<MutatingWebhookConfiguration>(MUTATING_WEBHOOKS, { name }, 'json', patch, { signal });
  } catch (e) {
    // 422 is the API server's answer to a failed `test`.
    if (isConflict(e) || isKubeError(e, 422)) return undefined;
    throw e;
  }
}
