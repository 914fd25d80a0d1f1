import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { endInOrder, Kernel, kernelFolder, printed, resultText, skip, traceback, types } from './kernel.js';

describe('cells', { skip }, () => {
  const folder = kernelFolder();
  let kernel: Kernel;
  before(async () => (kernel = await Kernel.start(folder)));
  after(() => endInOrder(kernel, folder));

  describe('a cell', () => {
    test('is answered by busy, its input, its result and idle, in this order', async () => {
      const exchange = await kernel.execute('const first = 20; first + 22');
      assert.deepEqual(types(exchange), ['busy', 'execute_input', 'execute_result', 'idle']);
      const count = exchange.reply['execution_count'];
      assert.deepEqual(exchange.published[1].content, { code: 'const first = 20; first + 22', execution_count: count });
      assert.deepEqual(exchange.published[2].content, {
        data: { 'text/plain': '42' },
        metadata: {},
        execution_count: count,
      });
    });

    test('shows nothing for undefined or null, nor where it is run silently', async () => {
      assert.equal(await kernel.value('undefined'), undefined);
      assert.equal(await kernel.value('null'), undefined);
      const before = await kernel.execute('0');
      const silent = await kernel.execute('5', { silent: true });
      assert.deepEqual(types(silent), ['busy', 'idle']);
      assert.equal(silent.reply['execution_count'], before.reply['execution_count']);
    });

    test('may begin with await and for await', async () => {
      assert.equal(await kernel.value('await (async () => 5)()'), '5');
      assert.equal(await kernel.value('await (6)'), '6');
      const exchange = await kernel.execute(
        'for await (const n of (async function* () { yield 1; yield 2; })()) console.log(n);',
      );
      assert.equal(printed(exchange), '1\n2\n');
    });

    test('sees names of earlier cells in every place', async () => {
      await kernel.value('const { x, y: [z], ...rest } = { x: 1, y: [2], w: 3 };');
      assert.equal(
        await kernel.value('JSON.stringify({ x, z, ...rest, f: () => x, [z]: x })'),
        `'{"2":1,"x":1,"z":2,"w":3}'`,
      );
      assert.equal(await kernel.value('const { x: inner } = { x: 7 }; inner + x'), '8');
      assert.equal(await kernel.value('[10, 20].map((x) => ({ x })).at(-1)'), '{ x: 20 }');
      assert.equal(
        await kernel.value(
          'class Box<T> { constructor(readonly x: T) {} }\nenum E { A, B }\ninterface Named { name: string }\n0',
        ),
        '0',
      );
      assert.equal(await kernel.value(`const named: Named = { name: 'n' }; new Box(E.B).x + named.name.length`), '2');
    });

    test('changes what functions of earlier cells see, as in a Python notebook', async () => {
      await kernel.value(
        'let count = 1; const scale = 2; const scaled = () => count * scale; function helper() { return 1; }\nfunction caller() { return helper() + count; }',
      );
      assert.equal(await kernel.value('count = 10; scaled()'), '20');
      assert.equal(await kernel.value('const scale = 5; scaled()'), '50');
      assert.equal(await kernel.value('function helper() { return 100; }\ncaller()'), '110');
      assert.equal(await kernel.value('const hoisted = early(); function early() { return 3; }\nhoisted'), '3');
    });

    test('may give an imported name to something else, and import it again', async () => {
      assert.equal(await kernel.value(`import { join } from 'node:path'; join('a', 'b')`), `'a/b'`);
      assert.equal(await kernel.value('const join = 5; join'), '5');
      assert.equal(await kernel.value(`import { join } from 'node:path'; join('c', 'd')`), `'c/d'`);
    });

    test('imports this package, its entries and its tables from any folder', async () => {
      assert.equal(
        await kernel.value(
          `import { table } from 'arquero'; import * as ops from 'nibblelens/ops'; table({ a: [1] }).numRows() + typeof ops.add`,
        ),
        `'1function'`,
      );
    });

    test('may hold export, which a file would need', async () => {
      assert.equal(
        await kernel.value(
          'export const exported = 1;\nexport function twice(n: number) { return 2 * n; }\ntwice(exported)',
        ),
        '2',
      );
      assert.equal(await kernel.value('twice(exported)'), '2');
    });

    test('that throws keeps what it had assigned, and leaves the rest as it was', async () => {
      await kernel.value(`let kept = 'old'; let later = 'old';`);
      await kernel.failure(
        `import * as path from 'node:path';\nlet kept = 1; let fresh = 2; throw new Error('half-way'); let later = 3; let unreached = 4;`,
      );
      assert.equal(await kernel.value('[kept + 1, fresh + 1, later.toUpperCase()]'), `[ 2, 3, 'OLD' ]`);
      assert.match(String((await kernel.failure('unreached')).reply['evalue']), /Cannot find name 'unreached'/);
    });
  });

  describe('an error', () => {
    test('shows the line of the cell itself, in reply and output alike', async () => {
      const exchange = await kernel.failure(
        `const lines = 3;\nfunction inner(): never {\n  throw new RangeError('too far', { cause: new Error('why') });\n}\n\ninner();`,
      );
      const { ename, evalue } = exchange.reply;
      assert.deepEqual([ename, evalue], ['RangeError', 'too far']);
      const text = traceback(exchange);
      assert.match(text, /^RangeError: too far\nIn \[\d+\], line 3:\n/);
      assert.match(text, /> 3 \|   throw new RangeError\('too far'.*\n {4}\| {9}\^\n/);
      assert.match(text, /at inner \(In \[\d+\]:3:9\)\n +at In \[\d+\]:6:1\n/);
      assert.match(text, /caused by\nError: why/);
      assert.doesNotMatch(text, /kernels|node:vm/);
      const [shown] = exchange.published.filter(({ type }) => type === 'error');
      assert.deepEqual(shown.content, { ename, evalue, traceback: exchange.reply['traceback'] });
    });

    test('in a function of an earlier cell names that cell, and in a file beside the notebook that file', async () => {
      const defined = await kernel.execute(`function fails() {\n  throw new Error('deep');\n}`);
      const exchange = await kernel.failure('\n\nfails()');
      const count = Number(defined.reply['execution_count']);
      assert.match(
        traceback(exchange),
        new RegExp(
          `In \\[${count}\\], line 2:[^]*at fails \\(In \\[${count}\\]:2:9\\)\n +at In \\[${count + 1}\\]:3:1`,
        ),
      );
      writeFileSync(
        join(folder, 'beside.ts'),
        `interface Nothing {}\n\n\nexport function fromFile(): never {\n  throw new Error('file');\n}\n`,
      );
      assert.match(
        traceback(await kernel.failure(`import { fromFile } from './beside';\nfromFile()`)),
        /at fromFile \(.*beside\.ts:5:9\)\n +at In \[\d+\]:2:/,
      );
    });

    test('after an await is shown all the same', async () => {
      assert.match(
        traceback(
          await kernel.failure(`async function slow() {\n  await null;\n  throw new Error('late');\n}\nawait slow();`),
        ),
        /> 3 \| {3}throw/,
      );
      assert.equal((await kernel.failure(`await Promise.reject(new TypeError('no'))`)).reply['ename'], 'TypeError');
    });

    test('can be any value, and one that is its own cause', async () => {
      assert.equal((await kernel.failure('throw undefined')).reply['evalue'], 'undefined');
      assert.equal((await kernel.failure('throw { a: 1 }')).reply['evalue'], '{ a: 1 }');
      assert.match(
        traceback(
          await kernel.failure(`const circular = new Error('round'); circular.cause = circular; throw circular`),
        ),
        /caused by\nError: round$/,
      );
    });

    test('of types keeps the cell from running, and says where, shortly', async () => {
      await kernel.value('let untouched = true;');
      const exchange = await kernel.failure('untouched = false;\nconst n: number = "text";');
      assert.equal(exchange.reply['ename'], 'TypeScript');
      assert.equal(exchange.reply['evalue'], `line 2: Type 'string' is not assignable to type 'number'.`);
      assert.match(traceback(exchange), /> 2 \| const n: number = "text";\n {4}\| {7}\^/);
      assert.equal(await kernel.value('untouched'), 'true');
      writeFileSync(join(folder, 'wrong.ts'), `export const a = 1;\nexport const o: { a: number } = { b: 2 };\n`);
      assert.match(
        String((await kernel.failure(`import { o } from './wrong';`)).reply['evalue']),
        /^wrong\.ts, line 2: Object literal may only/,
      );
    });

    test('in a timer is told on standard error, and the kernel lives on', async () => {
      const exchange = await kernel.execute(
        `setTimeout(() => { throw new Error('stray'); }, 1); await new Promise((go) => setTimeout(go, 50));`,
      );
      assert.equal(exchange.reply['status'], 'ok');
      assert.match(
        stripVTControlCharacters(printed(exchange, 'stderr')),
        /^Uncaught Error: stray\nIn \[\d+\], line 1:/,
      );
    });

    test('is what comes of reading input or ending the process', async () => {
      for (const code of [
        'process.stdin.read()',
        `for await (const chunk of process.stdin) {}`,
        `import * as readline from 'node:readline/promises'; readline.createInterface({ input: process.stdin });`,
      ]) {
        const exchange = await kernel.failure(code);
        assert.match(String(exchange.reply['evalue']), /cannot read from standard input/, code);
        assert.match(traceback(exchange), /> 1 \|/);
      }
      assert.match(String((await kernel.failure('process.exit(1)')).reply['evalue']), /cannot end the kernel/);
    });
  });

  describe('the library in a cell', () => {
    before(() =>
      kernel.value(
        `import { loadModel, bundled, show } from 'nibblelens';\nconst model = await loadModel(bundled.storytellerInt4);`,
      ),
    );

    const WRONG: [string, RegExp][] = [
      [
        `await model.run('x', { capture: ['blocks.3.attn.hook_patern'] })`,
        /Did you mean 'blocks\.3\.attn\.hook_pattern'\?$/,
      ],
      [`await model.run('x', { capture: 'blocks.1.hook_mlp_ot' })`, /Did you mean 'blocks\.1\.hook_mlp_out'\?$/],
      [
        `await model.run('x', { hooks: { 'blocks.0.hook_mlp_ot': ({ values }: { values: Float32Array }) => values } })`,
        /Did you mean 'blocks\.0\.hook_mlp_out'\?$/,
      ],
      [
        `await model.generate('x', { temprature: 1 })`,
        /'temprature' does not exist in type 'GenerateOptions'\. Did you mean to write 'temperature'\?$/,
      ],
      [`model.genrate('x')`, /Property 'genrate' does not exist on type 'OpenedModel'\. Did you mean 'generate'\?$/],
    ];
    for (const [code, message] of WRONG) {
      test(`does not compile and says what was meant: ${code}`, async () => {
        const { evalue } = (await kernel.failure(code)).reply;
        assert.match(String(evalue), message);
        assert.ok(String(evalue).length < 200, `${String(evalue).length} characters: ${evalue}`);
      });
    }

    test('shows its tables by a MIME type of their own', async () => {
      const exchange = await kernel.execute('model.memory()');
      const data = exchange.published.find(({ type }) => type === 'execute_result')?.content['data'] as Record<
        string,
        unknown
      >;
      assert.deepEqual(Object.keys(data), ['application/vnd.nibblelens.view+json', 'text/plain']);
    });
  });

  describe('several cells at once', () => {
    test('run one after another, each with its own busy', async () => {
      const all = await Promise.all(
        ['1', 'await new Promise((go) => setTimeout(go, 100)); 2', '3'].map((code) => kernel.execute(code)),
      );
      assert.deepEqual(all.map(resultText), ['1', '2', '3']);
      for (const exchange of all)
        assert.deepEqual(types(exchange), ['busy', 'execute_input', 'execute_result', 'idle']);
    });

    test('are dropped after one that fails', async () => {
      const all = await Promise.all(
        [`throw new Error('stop here')`, 'globalThis.ran = 1', '2'].map((code) => kernel.execute(code)),
      );
      assert.deepEqual(
        all.map(({ reply }) => reply['status']),
        ['error', 'aborted', 'aborted'],
      );
      assert.equal(await kernel.value(`Reflect.get(globalThis, 'ran')`), undefined);
    });

    test('go on after one that fails where the client asks for it', async () => {
      const all = await Promise.all(
        [`throw new Error('go on')`, '2'].map((code) => kernel.execute(code, { stop_on_error: false })),
      );
      assert.deepEqual(
        all.map(({ reply }) => reply['status']),
        ['error', 'ok'],
      );
    });
  });

  describe('questions', () => {
    test('are answered by replies of their own kind, with busy and idle', async () => {
      const info = await kernel.request('kernel_info_request');
      assert.equal(info.reply['implementation'], 'nibblelens');
      assert.deepEqual(types(info), ['busy', 'idle']);
      assert.deepEqual((await kernel.request('comm_info_request')).reply, { status: 'ok', comms: {} });
      await kernel.value('"remembered"');
      const { reply } = await kernel.request('history_request', {
        hist_access_type: 'tail',
        n: 1,
        output: false,
        raw: true,
      });
      assert.deepEqual(
        (reply['history'] as [number, number, string][]).map(([, , code]) => code),
        ['"remembered"'],
      );
      assert.deepEqual((await kernel.request('is_complete_request', { code: 'for (;;) {' })).reply, {
        status: 'incomplete',
        indent: '  ',
      });
      assert.deepEqual((await kernel.request('is_complete_request', { code: '1 + 1' })).reply, { status: 'complete' });
    });

    test('that are unknown disturb nothing', async () => {
      kernel.tell('no_such_request', { a: 1 });
      assert.equal(await kernel.value('6'), '6');
    });

    test('of completion: members, by positions in code points', async () => {
      const complete = async (code: string, cursor: number) =>
        (await kernel.request('complete_request', { code, cursor_pos: cursor })).reply;
      const members = await complete('model.gener', 11);
      assert.deepEqual([members['cursor_start'], members['cursor_end']], [6, 11]);
      assert.deepEqual(members['matches'], ['generate', 'generateBatch', 'generateSamples']);
      // 𝒳 is one code point and two UTF-16 units.
      const after = await complete('const 𝒳 = 1; model.gener', 24);
      assert.deepEqual([after['cursor_start'], after['cursor_end']], [19, 24]);
      assert.ok(((await complete(`model.generate('x', { temp`, 26))['matches'] as string[]).includes('temperature'));
      assert.deepEqual((await complete('noSuchNameAtAll', 15))['matches'], []);
    });

    test('of inspection: signature and documentation, or not found', async () => {
      const inspect = async (code: string) =>
        (await kernel.request('inspect_request', { code, cursor_pos: code.length - 1, detail_level: 0 })).reply;
      const found = (await inspect('model.generate'))['data'] as Record<string, string>;
      assert.match(
        found['text/plain'],
        /OpenedModel\.generate\(prompt: string \| Int32Array.*Generation\n\nContinues a prompt/,
      );
      assert.deepEqual(await inspect('noSuchName'), { status: 'ok', found: false, data: {}, metadata: {} });
    });

    test('are answered while a cell waits, and heartbeats while one holds the thread', async () => {
      await kernel.value(`import { existsSync } from 'node:fs';`);
      const flag = (name: string): string => JSON.stringify(join(folder, name));
      const waiting = kernel.execute(
        `console.log('go'); while (!existsSync(${flag('answered')})) await new Promise((go) => setTimeout(go, 10));`,
      );
      await kernel.heard('stream');
      const { reply } = await kernel.request('kernel_info_request');
      assert.equal(reply['status'], 'ok');
      writeFileSync(join(folder, 'answered'), '');
      await waiting;
      const holding = kernel.execute(`console.log('go'); while (!existsSync(${flag('beaten')}));`);
      await kernel.heard('stream');
      await kernel.heartbeat();
      writeFileSync(join(folder, 'beaten'), '');
      await holding;
    });
  });
});
