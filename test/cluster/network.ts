// Addresses of the embedded cluster. Every instance has a network namespace of its own, so that all may use the same ones.

/** The node, on a bridge: endpoints of Services may not be loopback addresses. */
export const NODE_ADDRESS = '10.200.0.1';
export const NODE_PREFIX = 24;

export const POD_RANGE = '10.244.0.0/16';
/** The only node gets the first /24 of the pod range from the controller manager; the CNI bridge uses the same. */
export const NODE_POD_RANGE = '10.244.0.0/24';

export const SERVICE_RANGE = '10.96.0.0/16';
/** The first address of the service range is that of the Service `kubernetes`. */
export const API_SERVICE_ADDRESS = '10.96.0.1';
export const DNS_ADDRESS = '10.96.0.10';

export const API_PORT = 6443;
export const ETCD_CLIENT_PORT = 2379;
export const ETCD_PEER_PORT = 2380;
export const CONTROLLER_MANAGER_PORT = 10257;
export const SCHEDULER_PORT = 10259;
export const KUBELET_HEALTH_PORT = 10248;
export const KUBE_PROXY_HEALTH_PORT = 10256;

export const API_URL = `https://${NODE_ADDRESS}:${API_PORT}`;
export const NODE_NAME = 'node';
