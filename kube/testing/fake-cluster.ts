import type { KubeClient, PatchType } from '../client.ts';
import { KubeError } from '../errors.ts';
import type { Resource, Target } from '../resources.ts';
import type { KubeObject } from '../types.ts';

/**
 * An API server's memory for unit tests: resource versions, conflicts, preconditions, label selectors, not-found and already-exists as
 * the real one answers them. What it does not do is default, validate or run controllers: such tests are in test/integration.
 */
export class FakeCluster {
  readonly #objects = new Map<string, KubeObject>();
  readonly #unknown = new Set<string>();
  #version = 1;
  /** Called before each request: may throw, or change things behind the caller's back. */
  before: (method: string, key: string) => void = () => {};
  readonly client: KubeClient;

  constructor(objects: object[] = []) {
    for (const object of objects as KubeObject[])
      this.#put(keyOf({ kind: object.kind! }, object.metadata), structuredClone(object));
    this.client = this.#makeClient();
  }

  /** The cluster does not have this kind. */
  unknown({ kind }: Resource): void {
    this.#unknown.add(kind);
  }

  find<T extends KubeObject>(resource: Resource, namespace: string, name: string): T | undefined {
    return structuredClone(this.#objects.get(keyOf(resource, { namespace, name }))) as T | undefined;
  }

  /** Somebody else writes. */
  edit(resource: Resource, namespace: string, name: string, change: (object: KubeObject) => void): void {
    const key = keyOf(resource, { namespace, name });
    const object = structuredClone(this.#objects.get(key)!);
    change(object);
    this.#put(key, object);
  }

  /** Somebody else deletes. */
  remove(resource: Resource, namespace: string, name: string): void {
    this.#objects.delete(keyOf(resource, { namespace, name }));
  }

  #put(key: string, object: KubeObject): KubeObject {
    object.metadata.resourceVersion = String(this.#version++);
    object.metadata.uid ??= `uid-${this.#version}`;
    this.#objects.set(key, object);
    return structuredClone(object);
  }

  #ask(method: string, resource: Resource, target: Target): string {
    const key = keyOf(resource, target);
    this.before(method, key);
    if (this.#unknown.has(resource.kind))
      throw new KubeError(404, 'NotFound', 'the server could not find the requested resource');
    return key;
  }

  #existing(key: string): KubeObject {
    const object = this.#objects.get(key);
    if (!object) throw new KubeError(404, 'NotFound', `${key} not found`);
    return object;
  }

  #makeClient(): KubeClient {
    return {
      get: async (resource, target) => structuredClone(this.#existing(this.#ask('GET', resource, target))) as never,
      list: async (resource, target = {}, options) => {
        this.#ask('LIST', resource, target);
        const prefix = target.namespace ? `${resource.kind}/${target.namespace}/` : `${resource.kind}/`;
        const items = [...this.#objects]
          .filter(([key, o]) => key.startsWith(prefix) && selected(o, options?.query?.['labelSelector']))
          .map(([, o]) => structuredClone(o));
        return { metadata: { resourceVersion: String(this.#version) }, items } as never;
      },
      create: async (resource, target, body) => {
        const key = this.#ask('POST', resource, { ...target, name: body.metadata.name });
        if (this.#objects.has(key)) throw new KubeError(409, 'AlreadyExists', `${key} already exists`);
        return this.#put(key, structuredClone(body)) as never;
      },
      update: async (resource, target, body) => {
        const key = this.#ask('PUT', resource, target);
        const current = this.#existing(key);
        const sent = body.metadata.resourceVersion;
        if (sent !== undefined && sent !== current.metadata.resourceVersion)
          throw new KubeError(409, 'Conflict', `${key} was changed`);
        return this.#put(key, structuredClone(body)) as never;
      },
      patch: async (resource, target, type: PatchType, body) => {
        const key = this.#ask('PATCH', resource, { ...target, subresource: undefined });
        if (type !== 'merge' && type !== 'strategic') throw new Error(`the fake knows no ${type} patches`);
        const current = this.#existing(key);
        const sent = (body as { metadata?: { resourceVersion?: string } }).metadata?.resourceVersion;
        if (sent !== undefined && sent !== current.metadata.resourceVersion)
          throw new KubeError(409, 'Conflict', `${key} was changed`);
        return this.#put(key, merge(structuredClone(current), body) as KubeObject) as never;
      },
      delete: async (resource, target, body) => {
        const key = this.#ask('DELETE', resource, target);
        const { uid, resourceVersion } =
          (body as { preconditions?: { uid?: string; resourceVersion?: string } } | undefined)?.preconditions ?? {};
        const { metadata } = this.#existing(key);
        if ((uid && uid !== metadata.uid) || (resourceVersion && resourceVersion !== metadata.resourceVersion))
          throw new KubeError(409, 'Conflict', 'precondition failed');
        this.#objects.delete(key);
      },
      stream: () => Promise.reject(new Error('the fake has no streams')),
      raw: () => Promise.reject(new Error('the fake has no raw requests')),
    };
  }
}

const keyOf = ({ kind }: Pick<Resource, 'kind'>, { namespace = '', name = '' }: Target): string =>
  `${kind}/${namespace}/${name}`;

function selected({ metadata }: KubeObject, selector: unknown): boolean {
  if (typeof selector !== 'string') return true;
  return selector.split(',').every((part) => {
    const [key = '', value] = part.split('=');
    return metadata.labels?.[key] === value;
  });
}

/** JSON merge patch; lists whose items have a `type`, such as conditions, are merged by it as the strategic form does. */
function merge(target: unknown, patch: unknown): unknown {
  if (Array.isArray(patch) && Array.isArray(target) && patch.every((item) => typeof item?.type === 'string')) {
    const byType = new Map((target as { type: string }[]).map((item) => [item.type, item]));
    for (const item of patch as { type: string; $patch?: string }[]) {
      if (item.$patch === 'delete') byType.delete(item.type);
      else byType.set(item.type, { ...byType.get(item.type), ...item });
    }
    return [...byType.values()];
  }
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const merged: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = merge(merged[key], value);
  }
  return merged;
}
