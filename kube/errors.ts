/** An answer of the API server other than 2xx, or none at all. `reason` is the API's own word, such as `NotFound` or `Conflict`. */
export class KubeError extends Error {
  readonly status: number;
  readonly reason: string;
  constructor(status: number, reason: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'KubeError';
    this.status = status;
    this.reason = reason;
  }
}

export const isKubeError = (e: unknown, status?: number): e is KubeError =>
  e instanceof KubeError && (status === undefined || e.status === status);

export const isNotFound = (e: unknown): e is KubeError => isKubeError(e, 404);
export const isConflict = (e: unknown): e is KubeError => isKubeError(e, 409) && e.reason !== 'AlreadyExists';
export const isAlreadyExists = (e: unknown): e is KubeError => isKubeError(e, 409) && e.reason === 'AlreadyExists';
export const isForbidden = (e: unknown): e is KubeError => isKubeError(e, 403);

/** No answer (status 0), an overloaded or restarting server: the same request may go through later. */
export const isTransient = (e: unknown): e is KubeError =>
  isKubeError(e) && (e.status === 0 || e.status === 429 || e.status >= 500);

/** What to tell a person about any thrown value, without stack or object bodies. */
export const messageOf = (e: unknown): string => (e instanceof Error ? e.message : String(e));
