import type { CanarySpec } from '../../canary/spec.ts';
import type { Deployment, Service, ServicePort } from '../../kube/types.ts';
import { Refusal } from '../refusal.ts';
import { serviceSelects } from './selectors.ts';

export interface ResolvedService {
  service: Service;
  /** The port whose requests are split. */
  port: ServicePort;
}

const namesOf = (services: Service[]): string =>
  services
    .map(({ metadata }) => metadata.name)
    .sort()
    .join(', ');

/**
 * Which Service's requests are split: `service.name`; else the one with the Deployment's name; else the only one that selects its
 * pods. Throws `Refusal` that names the candidates where that is not one Service, or not one port.
 */
export function resolveService(services: Service[], deployment: Deployment, spec: CanarySpec): ResolvedService {
  const labels = deployment.spec.template.metadata?.labels ?? {};
  const service = chooseService(services, deployment.metadata.name, labels, spec.service.name);
  if (service.spec.type === 'ExternalName' || !service.spec.selector) {
    throw new Refusal(`Service ${service.metadata.name} has no selector, so its requests cannot be split between pods`);
  }
  if (!serviceSelects(service.spec.selector, labels)) {
    throw new Refusal(
      `Service ${service.metadata.name} does not select the pods of Deployment ${deployment.metadata.name}`,
    );
  }
  const port = choosePort(service, spec.service.port);
  checkTargetPort(service, port, spec.service.targetPort);
  return { service, port };
}

function chooseService(
  services: Service[],
  deployment: string,
  labels: Record<string, string>,
  named: string | undefined,
): Service {
  if (named !== undefined) {
    const service = services.find(({ metadata }) => metadata.name === named);
    if (service) return service;
    throw new Refusal(
      `service.name is ${named}, but there is no such Service; the namespace has: ${namesOf(services) || 'none'}`,
    );
  }
  const selecting = services.filter(({ spec }) => serviceSelects(spec.selector, labels));
  const byName = selecting.find(({ metadata }) => metadata.name === deployment);
  if (byName) return byName;
  const [only, ...others] = selecting;
  if (only && others.length === 0) return only;
  if (only)
    throw new Refusal(
      `several Services select the pods of ${deployment}: ${namesOf(selecting)}; choose one with service.name`,
    );
  throw new Refusal(`no Service selects the pods of ${deployment}; a canary needs one whose requests can be split`);
}

function choosePort({ metadata, spec }: Service, wanted: number | undefined): ServicePort {
  const ports = (spec.ports ?? []).filter(({ protocol }) => (protocol ?? 'TCP') === 'TCP');
  const allowed = ports.map(({ port }) => port).join(', ');
  if (wanted !== undefined) {
    const port = ports.find((p) => p.port === wanted);
    if (port) return port;
    throw new Refusal(`service.port is ${wanted}; Service ${metadata.name} has: ${allowed || 'no TCP port'}`);
  }
  const [only, ...others] = ports;
  if (only && others.length === 0) return only;
  throw new Refusal(
    only
      ? `Service ${metadata.name} has several ports (${allowed}); choose one with service.port`
      : `Service ${metadata.name} has no TCP port`,
  );
}

function checkTargetPort({ metadata }: Service, port: ServicePort, wanted: number | string | undefined): void {
  const actual = port.targetPort ?? port.port;
  if (wanted !== undefined && String(wanted) !== String(actual)) {
    throw new Refusal(
      `service.targetPort is ${wanted}, but port ${port.port} of Service ${metadata.name} goes to ${actual}; leave it out or mend the Service`,
    );
  }
}
