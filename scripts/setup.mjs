import './setup/node-version.mjs';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SKIPS = { tensorflow: 'tfjs-node', notebooks: 'JupyterLab', native: 'native addon' };

/** What `NIBBLELENS_SETUP=no-tensorflow,no-notebooks,no-native` leaves out. */
function leftOut() {
  const words = (process.env.NIBBLELENS_SETUP ?? '').split(',').filter(Boolean);
  const steps = words.map((word) => SKIPS[word.replace(/^no-/, '')]);
  const unknown = words.find((word, i) => !word.startsWith('no-') || steps[i] === undefined);
  if (unknown !== undefined) {
    const known = Object.keys(SKIPS).map((name) => `no-${name}`).join(', ');
    throw new Error(`NIBBLELENS_SETUP: found ${unknown}, expected any of ${known}`);
  }
  return new Set(steps);
}

/**
 * Makes ready all that the commands need, and skips what is ready: npm dependencies, the native addon, tfjs-node's
 * binding, dist/ and a Python environment with JupyterLab; in an installed package only what a user lacks there.
 * Prints one line for each thing done and each fallback. Gives whether the commands can run; a fallback is no failure.
 * `again` tries anew what an earlier set-up had given up.
 */
export async function setUp({ again = false } = {}) {
  const { Progress } = await import('./setup/progress.mjs');
  const { IS_CLONE } = await import('./setup/places.mjs');
  const progress = new Progress(leftOut());

  // Only the first step is needed by the others; Python's packages depend on none.
  const notebooks = progress.step('JupyterLab', async (log) => (await import('./setup/steps.mjs')).jupyterLab({ log, again }));
  const installed = IS_CLONE
    ? await progress.step('npm dependencies', async (log) => (await import('./setup/dependencies.mjs')).installDependencies({ log }))
    : true;
  const rest = !installed ? [] : [
    progress.step('native addon', async (log) => (await import('./setup/steps.mjs')).nativeAddon({ log, again })),
    progress.step('tfjs-node', async (log) => (await import('./setup/tfjs-node.mjs')).setUpTfjsNode({ log, again })),
    IS_CLONE
      ? progress.step('TypeScript build', async (log) => (await import('./setup/typescript.mjs')).buildTypeScript({ log }))
      : true,
  ];
  const results = await Promise.all([installed, notebooks, ...rest]);
  progress.close();
  return results.every(Boolean);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    process.exitCode = (await setUp({ again: true })) ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  }
}
