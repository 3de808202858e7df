import pc from 'picocolors';
import { daemons } from './components.ts';
import { readRecord } from './daemon.ts';
import { inspect } from './instance.ts';
import { externalKubeconfig, type Paths } from './paths.ts';
import { isAlive } from './procfs.ts';

/** Prints what runs and where to find it; sets the exit code to 1 unless the instance is up. */
export function printStatus(paths: Paths): void {
  const external = externalKubeconfig();
  if (external) {
    console.log(`external cluster, kubeconfig ${external}`);
    return;
  }
  const state = inspect(paths);
  const detail = {
    absent: '',
    starting: '',
    up: 'kind' in state ? ` (${state.kind})` : '',
    broken: 'reason' in state ? `: ${state.reason}` : '',
  };
  console.log(`${paths.label}: ${state.state}${detail[state.state]}`);
  if (state.state !== 'up') process.exitCode = 1;
  if (state.state === 'absent') return;
  for (const { name } of daemons(paths, 'full')) {
    const record = readRecord(paths, name);
    if (record)
      console.log(
        isAlive(record) ? `${pc.green('●')} ${name} (process ${record.pid})` : `${pc.red('●')} ${name} has ended`,
      );
  }
  console.log(`kubeconfig  ${paths.kubeconfig}\nnetwork     ${paths.netns}\nlogs        ${paths.logs}`);
}
