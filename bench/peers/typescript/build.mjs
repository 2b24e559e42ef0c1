// Bundles each function into a deployment package of its own: dist/<function>/index.mjs.
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const functions = ['webhook', 'webhook-idempotency', 'consumer', 'consumer-single-update'];

rmSync(`${here}dist`, { recursive: true, force: true });
await build({
  absWorkingDir: here,
  entryPoints: functions.map((name) => ({ in: `src/${name}.ts`, out: `${name}/index` })),
  outdir: 'dist',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  minify: true,
  sourcemap: false,
  legalComments: 'none',
  platform: 'node',
  target: 'node20',
  // The packages' ES modules: what is not used is left out, as it cannot be with their CommonJS.
  mainFields: ['module', 'main'],
  // The runtime interface client takes every handler by `import()`, and for a CommonJS file Node then first searches
  // the whole bundle for its exports: an ES module starts in less CPU time.
  format: 'esm',
  // For the dependencies that are CommonJS only.
  banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
});
