import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { API_SERVICE_ADDRESS, API_URL, NODE_ADDRESS, NODE_NAME } from './network.ts';
import type { Paths } from './paths.ts';
import { run } from './run.ts';

/** Days; an instance lives for hours. */
const VALIDITY = '30';

interface Certificate {
  readonly file: string;
  /** Common name: the user name for the API server. */
  readonly user: string;
  /** Organisation: the group for the API server. */
  readonly group?: string;
  readonly names?: readonly string[];
}

const API_SERVER: Certificate = {
  file: 'apiserver',
  user: 'kube-apiserver',
  names: [
    'DNS:kubernetes',
    'DNS:kubernetes.default',
    'DNS:kubernetes.default.svc',
    'DNS:kubernetes.default.svc.cluster.local',
    'DNS:localhost',
    'IP:127.0.0.1',
    `IP:${NODE_ADDRESS}`,
    `IP:${API_SERVICE_ADDRESS}`,
  ],
};

/** The clients, each with a kubeconfig of its own; the names are those RBAC's built-in bindings expect. */
const CLIENTS: readonly Certificate[] = [
  { file: 'admin', user: 'admin', group: 'system:masters' },
  { file: 'controller-manager', user: 'system:kube-controller-manager' },
  { file: 'scheduler', user: 'system:kube-scheduler' },
  { file: 'kube-proxy', user: 'system:kube-proxy' },
  {
    file: 'kubelet',
    user: `system:node:${NODE_NAME}`,
    group: 'system:nodes',
    names: [`DNS:${NODE_NAME}`, `IP:${NODE_ADDRESS}`],
  },
  // What the API server shows to webhooks that ask who is calling.
  { file: 'apiserver-webhooks', user: 'kube-apiserver-webhooks' },
  // What the API server shows to the kubelet, for logs and exec.
  { file: 'apiserver-kubelet', user: 'kube-apiserver-kubelet', group: 'system:masters' },
];

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** Path of a file of the instance's PKI. */
export function pkiFile(paths: Paths, file: string): string {
  return join(paths.pki, file);
}

export function clientKubeconfig(paths: Paths, client: string): string {
  return pkiFile(paths, `${client}.kubeconfig`);
}

async function issue(paths: Paths, certificate: Certificate): Promise<void> {
  const subject = `${certificate.group ? `/O=${certificate.group}` : ''}/CN=${certificate.user}`;
  const extensions = [
    'basicConstraints=critical,CA:FALSE',
    'keyUsage=critical,digitalSignature',
    'extendedKeyUsage=serverAuth,clientAuth',
    ...(certificate.names ? [`subjectAltName=${certificate.names.join(',')}`] : []),
  ].flatMap((extension) => ['-addext', extension]);
  const { file } = certificate;
  await run(
    'openssl',
    [
      'req',
      '-x509',
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-days',
      VALIDITY,
      ...NEW_KEY,
      '-subj',
      subject,
      ...extensions,
    ].concat(['-keyout', `${file}.key`, '-out', `${file}.crt`]),
    { cwd: paths.pki },
  );
}

/** A kubeconfig with everything embedded, so that it can be copied. */
function writeKubeconfig(paths: Paths, client: string): void {
  const base64 = (file: string) => readFileSync(pkiFile(paths, file)).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: paths.label, cluster: { server: API_URL, 'certificate-authority-data': base64('ca.crt') } }],
    users: [
      {
        name: client,
        user: { 'client-certificate-data': base64(`${client}.crt`), 'client-key-data': base64(`${client}.key`) },
      },
    ],
    contexts: [{ name: paths.label, context: { cluster: paths.label, user: client } }],
    'current-context': paths.label,
  };
  writeFileSync(clientKubeconfig(paths, client), stringify(config), { mode: 0o600 });
}

/** The certificate authority, all certificates, the key of the service account tokens, and the kubeconfigs. */
export async function createPki(paths: Paths): Promise<void> {
  mkdirSync(paths.pki, { recursive: true, mode: 0o700 });
  if (existsSync(paths.kubeconfig)) return;
  const at = { cwd: paths.pki };
  const authority = [
    '-subj',
    `/CN=${paths.label}-ca`,
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign,digitalSignature',
  ];
  await run(
    'openssl',
    ['req', '-x509', '-days', VALIDITY, ...NEW_KEY, ...authority, '-keyout', 'ca.key', '-out', 'ca.crt'],
    at,
  );
  await Promise.all([...CLIENTS, API_SERVER].map((certificate) => issue(paths, certificate)));
  await run('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'service-account.key'], at);
  await run('openssl', ['pkey', '-in', 'service-account.key', '-pubout', '-out', 'service-account.pub'], at);
  // The administrator's comes last: its presence says that all is there.
  for (const client of ['controller-manager', 'scheduler', 'kube-proxy', 'kubelet', 'admin'])
    writeKubeconfig(paths, client);
}
