import { PROMOTED } from './annotations.ts';

/** A version that its analysis, or an order, promoted on this Deployment. */
export interface Promoted {
  hash: string;
  /** RFC 3339, whole seconds. */
  time: string;
}

/** The versions promoted on an object, newest first; an unreadable record counts as none. */
export function promotedOf(object: { metadata: { annotations?: Record<string, string> } }): Promoted[] {
  try {
    const value: unknown = JSON.parse(object.metadata.annotations?.[PROMOTED] ?? '[]');
    return Array.isArray(value) ? value.filter((v) => typeof v?.hash === 'string' && typeof v?.time === 'string') : [];
  } catch {
    return [];
  }
}
