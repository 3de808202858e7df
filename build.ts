import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BuildOptions, build, type Metafile } from 'esbuild';

/** One bundle per entry point: a process that loads one file starts in a third of the time, and keeps no unused code in memory. */
const ENTRIES = { webhook: 'webhook/main.ts', analyzer: 'analyzer/main.ts', wait: 'cli/main.ts' };
const ROOT = import.meta.dirname;
const OUTPUT = join(ROOT, 'dist');

/** The plugin for people's machines, one file for their PATH. */
const PLUGIN = 'kubectl-sidestep';
// CommonJS dependencies inside an ES module ask for these.
const REQUIRE = "import{createRequire}from'node:module';const require=createRequire(import.meta.url);";

const COMMON = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  // Identifiers stay: stack traces in users' logs are to be read.
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
} satisfies BuildOptions;

const { metafile } = await build({
  ...COMMON,
  entryPoints: ENTRIES,
  outdir: OUTPUT,
  outExtension: { '.js': '.mjs' },
  metafile: true,
  // Only for people's kubeconfigs; pods use their own account (kube/connect.ts) and must not pay for it.
  external: ['@kubernetes/client-node'],
  banner: { js: REQUIRE },
});
writeFileSync(join(OUTPUT, 'licenses.txt'), licenses(metafile));

// A file without extension is an ES module to Node where it has no other sign: what is imported says so.
const plugin = await build({
  ...COMMON,
  entryPoints: [ENTRIES.wait],
  outfile: join(OUTPUT, PLUGIN),
  metafile: true,
  banner: { js: `#!/usr/bin/env node\n${REQUIRE}` },
});
chmodSync(join(OUTPUT, PLUGIN), 0o755);
writeFileSync(join(OUTPUT, `${PLUGIN}.licenses.txt`), licenses(plugin.metafile));
// What each file is made of, for the bill of materials (sbom/).
writeFileSync(join(OUTPUT, 'metafile.json'), JSON.stringify({ ...metafile.outputs, ...plugin.metafile.outputs }));

for (const name of [...Object.keys(ENTRIES).map((entry) => `${entry}.mjs`), 'licenses.txt', PLUGIN]) {
  process.stdout.write(`dist/${name} ${Math.round(statSync(join(OUTPUT, name)).size / 1024)} KiB\n`);
}

/** The licences of all packages of which something is bundled: whoever passes the bundles on passes these on with them. */
function licenses({ outputs }: Metafile): string {
  const inputs = Object.values(outputs).flatMap((output) => Object.keys(output.inputs));
  const folders = inputs.flatMap((path) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []);
  return [...new Set(folders)].sort().map(licenseOf).join('\n\n');
}

function licenseOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as Record<
    string,
    string
  >;
  const file = readdirSync(join(ROOT, folder)).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
  const text = file ? readFileSync(join(ROOT, folder, file), 'utf8').trim() : '';
  return `${'='.repeat(80)}\n${name} ${version} (${license})\n\n${text}`.trim();
}
