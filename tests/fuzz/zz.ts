import { mkdtempSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setLogLevel } from '/work/main/src/base/logger.js';
import { ready } from '/work/main/src/kernels/backend.js';
import { fuzzCase } from '/work/main/tests/fuzz/cases.js';
import { tryCase } from '/work/main/tests/fuzz/trial.js';
setLogLevel('silent'); await ready('cpu');
const root = mkdtempSync('/tmp/fz-'); const counts = new Map<string, number>(); const t0=performance.now();
const [from, to] = process.argv.slice(2).map(Number); const slow: [number, number][] = [];
for (let i = from; i < to; i++) { const c = fuzzCase(1, i); const f = join(root, String(i)); mkdirSync(f); for (const [n, b] of Object.entries(c.files)) writeFileSync(join(f, n), b);
 const t=performance.now(); const o = await tryCase(c, f); const ms=performance.now()-t; if (ms>300) slow.push([i,ms]); const k = `${c.target}: ${o.kind} ${o.error ?? ''}`; counts.set(k, (counts.get(k) ?? 0) + 1); if (o.kind === 'fault') console.log(i, c.target, o.message); if (process.env.SHOW && o.kind==='refused') console.log(i,c.target,o.message); }
console.log([...counts].sort()); console.log('slow', slow, ((performance.now()-t0)/(to-from)).toFixed(1), 'ms/case', process.resourceUsage().maxRSS/1024);
