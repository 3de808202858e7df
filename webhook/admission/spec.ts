import * as keys from '../../canary/annotations.ts';
import { sideBySideProblem } from '../../canary/side-by-side.ts';
import {
  type CanarySpec,
  describeProblems,
  type SpecProblem,
  type SpecSource,
  type SpecSources,
} from '../../canary/spec.ts';
import { messageOf } from '../../kube/errors.ts';
import type { Facts } from './facts.ts';
import { rememberSpecs } from './spec-cache.ts';
import type { Denied } from './types.ts';

/** Below this a paused Deployment's controller may delete the stable ReplicaSet, or the one before it, as too old. */
const MIN_REVISION_HISTORY = 2;

const readSpec = rememberSpecs();

export type SpecOutcome = { spec: CanarySpec; denied?: undefined } | { spec?: undefined; denied: Denied };

const refuse = (message: string, code = 400): { denied: Denied } => ({ denied: { allowed: false, code, message } });

/** The analysis that holds for the object of the request, or the refusal that names what is wrong and where. */
export async function specFor(facts: Facts): Promise<SpecOutcome> {
  const { object, input, settings } = facts;
  const annotations = object.metadata.annotations ?? {};
  const sources: SpecSources = { annotation: annotations[keys.SPEC], defaults: settings.specDefaults };
  const from = annotations[keys.SPEC_FROM];
  if (from !== undefined) {
    const read = await configMapText(from, facts);
    if (read.denied) return read;
    sources.configMap = read.text;
  }
  const { spec, problems } = readSpec(sources, { name: input.name });
  if (spec) return { spec };
  return refuse(describeSources(problems, from), 422);
}

/** Each source with what is wrong in it. */
function describeSources(problems: SpecProblem[], configMap: string | undefined): string {
  const names: [SpecSource, string][] = [
    ['annotation', `annotation ${keys.SPEC}`],
    ['configMap', `ConfigMap ${configMap}, key ${keys.SPEC_FROM_KEY}`],
    ['defaults', "the chart's defaults"],
  ];
  return names
    .map(([source, name]) => ({ name, own: problems.filter((p) => p.source === source) }))
    .filter(({ own }) => own.length > 0)
    .map(({ name, own }) => `${name}: ${describeProblems(own)}`)
    .join('; ');
}

async function configMapText(
  name: string,
  { input, reads, old }: Facts,
): Promise<{ text: string; denied?: undefined } | { denied: Denied }> {
  if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(name)) {
    return refuse(
      `annotation ${keys.SPEC_FROM} is ${JSON.stringify(name.slice(0, 80))}; allowed: the name of a ConfigMap in namespace ${input.namespace}`,
      422,
    );
  }
  try {
    const [configMap, stored] = await Promise.all([
      reads.configMap(input.namespace, name),
      old && reads.deployment(input.namespace, input.name),
    ]);
    // What a ConfigMap says goes into the answer, and whoever reaches the webhook can send a review: it must be of what is stored.
    if (old && (!stored || stored.metadata.uid !== old.metadata.uid))
      return refuse(`the request is not about the Deployment ${input.name} that namespace ${input.namespace} has`, 409);
    const text = configMap?.data?.[keys.SPEC_FROM_KEY];
    if (text !== undefined) return { text };
    const missing = configMap ? `has no key ${keys.SPEC_FROM_KEY}` : `does not exist in namespace ${input.namespace}`;
    return refuse(`annotation ${keys.SPEC_FROM}: ConfigMap ${name} ${missing}`, 422);
  } catch (e) {
    return refuse(`annotation ${keys.SPEC_FROM}: ConfigMap ${name} could not be read: ${messageOf(e)}`, 503);
  }
}

/** Whether the stable ReplicaSet, or the one before it, could be deleted as too old while a version is held. */
export function historyProblem({ object, input }: Facts): Denied | undefined {
  const history = object.spec.revisionHistoryLimit ?? 10;
  if (history >= MIN_REVISION_HISTORY) return undefined;
  return refuse(
    `spec.revisionHistoryLimit is ${history}; allowed with ${keys.CANARY}: at least ${MIN_REVISION_HISTORY}, or the stable version could be lost while ${input.name} is held`,
    422,
  ).denied;
}

/** Whether the workload can be run in two versions side by side at all; the refusal names the field and the way out. */
export function workloadProblem(facts: Facts, spec: CanarySpec): Denied | undefined {
  const { object } = facts;
  const history = historyProblem(facts);
  if (history) return history;
  const problem = spec.allowSideBySide ? undefined : sideBySideProblem(object);
  if (!problem) return undefined;
  return refuse(
    `${problem.field}: ${problem.message}; set allowSideBySide: true in ${keys.SPEC} if two versions may run at the same time`,
    422,
  ).denied;
}
