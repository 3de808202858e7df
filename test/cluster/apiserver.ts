import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { binary } from './build.ts';
import type { Daemon } from './daemon.ts';
import { ETCD_URL } from './etcd.ts';
import { readApi } from './health.ts';
import { API_PORT, NODE_ADDRESS, SERVICE_RANGE } from './network.ts';
import type { Paths } from './paths.ts';
import { pkiFile } from './pki.ts';

/** Who did what to which object, once per request: tests read from it which component wrote. */
const AUDIT_POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`;

function auditPolicy(paths: Paths): string {
  return join(paths.state, 'audit-policy.yaml');
}

const admissionConfiguration = (paths: Paths): string => join(paths.state, 'admission.yaml');
const webhookKubeconfig = (paths: Paths): string => join(paths.state, 'webhooks.kubeconfig');

/** Shows a certificate to every webhook that asks for one, as an operator sets it up (docs/operations.md). */
function writeAdmissionConfiguration(paths: Paths): void {
  const webhooks = { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'WebhookAdmissionConfiguration' };
  const plugins = [
    { name: 'MutatingAdmissionWebhook', configuration: { ...webhooks, kubeConfigFile: webhookKubeconfig(paths) } },
  ];
  const admission = { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AdmissionConfiguration', plugins };
  writeFileSync(admissionConfiguration(paths), stringify(admission));
  const identity = {
    'client-certificate': pkiFile(paths, 'apiserver-webhooks.crt'),
    'client-key': pkiFile(paths, 'apiserver-webhooks.key'),
  };
  const kubeconfig = { apiVersion: 'v1', kind: 'Config', users: [{ name: '*', user: identity }] };
  writeFileSync(webhookKubeconfig(paths), stringify(kubeconfig));
}

/** Writes the files the API server reads beside its certificates. */
export function prepareApiServer(paths: Paths): void {
  mkdirSync(dirname(paths.auditLog), { recursive: true });
  writeFileSync(auditPolicy(paths), AUDIT_POLICY);
  writeAdmissionConfiguration(paths);
}

export function apiServer(paths: Paths): Daemon {
  const pki = (file: string) => pkiFile(paths, file);
  return {
    name: 'kube-apiserver',
    command: binary('kube-apiserver'),
    args: [
      `--etcd-servers=${ETCD_URL}`,
      '--bind-address=0.0.0.0',
      `--advertise-address=${NODE_ADDRESS}`,
      `--secure-port=${API_PORT}`,
      `--tls-cert-file=${pki('apiserver.crt')}`,
      `--tls-private-key-file=${pki('apiserver.key')}`,
      `--client-ca-file=${pki('ca.crt')}`,
      `--service-account-key-file=${pki('service-account.pub')}`,
      `--service-account-signing-key-file=${pki('service-account.key')}`,
      '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
      `--service-cluster-ip-range=${SERVICE_RANGE}`,
      '--authorization-mode=Node,RBAC',
      '--enable-admission-plugins=NodeRestriction',
      `--admission-control-config-file=${admissionConfiguration(paths)}`,
      // Istio's init container changes the pod's firewall rules.
      '--allow-privileged=true',
      `--kubelet-client-certificate=${pki('apiserver-kubelet.crt')}`,
      `--kubelet-client-key=${pki('apiserver-kubelet.key')}`,
      // Node names do not resolve here.
      '--kubelet-preferred-address-types=InternalIP',
      // Webhooks are reached by the addresses of their Services, through kube-proxy's rules.
      '--enable-aggregator-routing=false',
      `--audit-policy-file=${auditPolicy(paths)}`,
      `--audit-log-path=${paths.auditLog}`,
    ],
    // Two cores are scarcer here than memory, and everything waits while this process collects its garbage.
    env: { GOGC: '300' },
    healthy: async () => (await readApi(paths, '/readyz')) !== undefined,
  };
}
