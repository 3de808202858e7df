import { type CanarySpec, readSpec, type SpecResult, type SpecSources } from '../../canary/spec.ts';

/** Characters of all keys together: some hundred specs of usual size, 64 of the largest. */
const MAX_CHARS = 1_048_576;

type ReadSpec = (sources: SpecSources, target: { name: string }) => SpecResult;

/**
 * `readSpec` that remembers what it read. Nothing else that admission does takes as long as reading YAML, and most updates of a
 * workload come with the spec of the update before. Specs are shared, so they are frozen; what is refused is read each time.
 */
export function rememberSpecs(read: ReadSpec = readSpec, maxChars = MAX_CHARS): ReadSpec {
  const specs = new Map<string, CanarySpec>();
  let chars = 0;
  const keep = (key: string, spec: CanarySpec) => {
    specs.set(key, spec);
    chars += key.length;
    for (const [oldest] of specs) {
      if (chars <= maxChars) return;
      specs.delete(oldest);
      chars -= oldest.length;
    }
  };
  return (sources, target) => {
    const key = JSON.stringify([target.name, sources.annotation, sources.configMap, sources.defaults]);
    const known = specs.get(key);
    if (known) return { spec: known };
    const result = read(sources, target);
    if (result.spec) keep(key, frozen(result.spec));
    return result;
  };
}

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null)
    for (const inner of Object.values(Object.freeze(value))) frozen(inner);
  return value;
}
