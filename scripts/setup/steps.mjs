import { tail } from './run.mjs';

/** Builds the native addon, if need be by a compiler fetched for it; without one the TypeScript kernels serve. */
export async function nativeAddon({ log, again }) {
  const { buildNative } = await import('../build-native.mjs');
  const { ok, compiler, reason } = await buildNative({ log, again, strict: Boolean(process.env.CI) });
  if (ok) return { state: compiler === null ? 'ready' : 'done', detail: compiler ?? '' };
  return {
    state: 'lost',
    detail: `no native kernels; TypeScript ones serve, tens of times slower (${tail(reason, 3)})`,
    cure: 'install a C++17 compiler (g++ or clang++), or pip, and run npx nibblelens setup',
  };
}

/** A Python environment with JupyterLab; without one all but the notebooks works. */
export async function jupyterLab({ log, again }) {
  const { ensureVenv } = await import('../venv.mjs');
  const { ok, created, reason } = await ensureVenv({ log, again });
  if (ok) return { state: created ? 'done' : 'ready' };
  return {
    state: 'lost',
    detail: `notebooks cannot be run or opened, all else works (${reason})`,
    cure: 'install Python 3.10 or later with venv and pip, and run npx nibblelens setup',
  };
}
