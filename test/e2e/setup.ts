import { install } from './support/install.ts';

/** Once per run: Sidestep as users install it, from this checkout's chart and image. */
export default async function setup(): Promise<void> {
  await install();
}
