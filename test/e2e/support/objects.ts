import { DESTINATION_RULES } from '../../../kube/resources.ts';
import type { KubeObject } from '../../../kube/types.ts';

/** A DestinationRule of the users' own for the Service. */
export const usersRule = (namespace: string): KubeObject[] => [
  {
    apiVersion: DESTINATION_RULES.apiVersion,
    kind: DESTINATION_RULES.kind,
    metadata: { name: 'mine', namespace },
    spec: { host: 'reviews', trafficPolicy: { connectionPool: { http: { maxRetries: 2 } } } },
  } as KubeObject,
];
