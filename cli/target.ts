import { UsageError } from './errors.ts';

const KINDS = ['deployment', 'deployments', 'deploy', 'deployment.apps', 'deployments.apps'];
/** A DNS subdomain, as names of Deployments are. */
const NAME = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/**
 * The name in `deployment/NAME` or `NAME`, as kubectl takes them.
 * @throws UsageError
 */
export function deploymentName(text: string): string {
  const slash = text.indexOf('/');
  const kind = slash < 0 ? 'deployment' : text.slice(0, slash).toLowerCase();
  const name = text.slice(slash + 1);
  if (KINDS.includes(kind) && NAME.test(name)) return name;
  throw new UsageError(`${JSON.stringify(text.slice(0, 80))} names no Deployment; allowed: deployment/NAME`);
}
