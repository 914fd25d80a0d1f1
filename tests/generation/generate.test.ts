import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { nextTurn } from '../../src/base/event-loop.js';
import { ContextFullError, NibbleLensError, OptionError, UnknownNameError } from '../../src/base/errors.js';
import {
  generate,
  generateBatch,
  generateSamples,
  type GenerateOptions,
  type GenerationResult,
  type GenerationStep,
} from '../../src/generation/index.js';
import { hashedLogits, scripted, ToyDecoder, toyTokenizer, VOCABULARY_SIZE } from './support.js';

const tokenizer = await toyTokenizer();
const id = (token: string): number => {
  const found = tokenizer.id(token);
  assert.notEqual(found, undefined, token);
  return found as number;
};
const byte = (value: number): number => 3 + value;
const EOS = 2;

/** What is the same however long things took. */
const timeless = ({ timings, steps, ...rest }: GenerationResult) => ({
  ...rest,
  counts: [timings.promptTokens, timings.generatedTokens],
  steps: steps.map(({ ms, ...step }) => (assert.ok(ms >= 0), step)),
});

async function collect(generation: AsyncIterable<GenerationStep>): Promise<GenerationStep[]> {
  const steps: GenerationStep[] = [];
  for await (const step of generation) steps.push(step);
  return steps;
}

/** Greedy generation of a script after the prompt "a" (BOS, "▁a"). */
function play(script: readonly number[], options: GenerateOptions = {}) {
  const decoder = new ToyDecoder({ logits: scripted(script, 2) });
  return generate(decoder, tokenizer, 'a', { temperature: 0, maxTokens: script.length, ...options });
}

describe('generate', () => {
  test('streams steps, and awaits to the whole, of one run', async () => {
    const decoder = new ToyDecoder();
    const generation = generate(decoder, tokenizer, 'the a', { seed: 4, maxTokens: 30, ignoreEos: true });
    assert.equal(decoder.calls.length, 0);
    const steps = await collect(generation);
    const result = await generation;
    assert.equal(steps.length, 30);
    assert.deepEqual(result.steps, steps);
    assert.deepEqual([...result.ids], steps.map((step) => step.id));
    assert.equal(result.text, steps.map(({ text }) => text).join(''));
    assert.deepEqual([...result.promptIds], [...tokenizer.encode('the a')]);
    assert.equal(tokenizer.decode([...result.promptIds, ...result.ids]), `the a${result.text}`);
    assert.deepEqual([result.stopReason, result.seed], ['max-tokens', 4]);
    assert.equal(decoder.calls.length, 30);
    assert.equal(decoder.live.size, 0);
    assert.deepEqual(await collect(generation), steps);
    assert.equal(await generation, result);

    const { timings } = result;
    assert.deepEqual([timings.promptTokens, timings.generatedTokens], [result.promptIds.length, 30]);
    assert.ok(timings.timeToFirstTokenMs >= timings.prefillMs && timings.totalMs >= timings.timeToFirstTokenMs);
    assert.ok(timings.decodeMs > 0 && Math.abs(timings.msPerToken - timings.decodeMs / 29) < 1e-9);
    assert.ok(Math.abs(timings.decodeTokensPerSecond * timings.msPerToken - 1000) < 1e-6);
  });

  test('a seed decides the text; none given is chosen and reported', async () => {
    const run = (options: GenerateOptions) =>
      generate(new ToyDecoder(), tokenizer, 'a', { maxTokens: 12, ignoreEos: true, ...options });
    const first = await run({});
    assert.deepEqual(timeless(await run({ seed: first.seed })), timeless(first));
    assert.notDeepEqual((await run({ seed: 1 })).ids, (await run({ seed: 2 })).ids);
    const asynchronous = generate(new ToyDecoder({ asynchronous: true }), tokenizer, 'a', {
      maxTokens: 12,
      ignoreEos: true,
      seed: first.seed,
    });
    assert.deepEqual(timeless(await asynchronous), timeless(first));
  });

  test('ends at EOS of tokenizer or model, at stop ids, or goes on if asked', async () => {
    const script = [id('b'), EOS, id('c')];
    const eos = await play(script);
    assert.deepEqual([eos.stopReason, eos.text, [...eos.ids]], ['eos', 'b', [id('b'), EOS]]);
    const onwards = await play(script, { ignoreEos: true });
    assert.deepEqual([onwards.stopReason, onwards.text], ['max-tokens', 'bc']);
    const stopId = await play(script, { stopIds: [id('b')] });
    assert.deepEqual([stopId.stopReason, stopId.text, [...stopId.ids]], ['stop-id', '', [id('b')]]);
    const decoder = new ToyDecoder({ eosIds: [id('x')], logits: scripted([id('b'), id('x')], 2) });
    const ofModel = await generate(decoder, tokenizer, 'a', { temperature: 0 });
    assert.deepEqual([ofModel.stopReason, ofModel.text], ['eos', 'b']);
  });

  test('a stop string across tokens never shows', async () => {
    const script = [id('b'), id('EN'), id('D'), id('c')];
    const result = await play(script, { stop: ['END'] });
    assert.deepEqual([result.stopReason, result.text], ['stop-string', 'b']);
    assert.deepEqual(result.steps.map(({ text }) => text), ['b', '', '']);
    const inside = await play([id('b'), id('END'), id('c')], { stop: 'N' });
    assert.deepEqual([inside.stopReason, inside.text], ['stop-string', 'bE']);
    const almost = await play([id('EN'), id('c'), id('EN')], { stop: ['END', 'zz'] });
    assert.deepEqual(almost.steps.map(({ text }) => text), ['', 'ENc', 'EN']);
    assert.deepEqual([almost.stopReason, almost.text], ['max-tokens', 'ENcEN']);
  });

  test('stop strings cut the text where it is first complete, however it is cut into tokens', async () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 12 });
    const stop = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 });
    const stops = fc.array(stop, { maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(letters, stops, async (text, stop) => {
        let expected = text;
        for (let end = 1; end <= text.length && expected === text; end++) {
          const found = stop.filter((each) => text.slice(0, end).endsWith(each)).map(({ length }) => end - length);
          if (found.length > 0) expected = text.slice(0, Math.min(...found));
        }
        const result = await play([...text].map(id), { stop });
        assert.equal(result.text, expected);
        assert.equal(result.text, result.steps.map((step) => step.text).join(''));
      }),
      { numRuns: 100 },
    );
  });

  test('characters across tokens come whole; half a one at the end is U+FFFD', async () => {
    const [first, second, third, fourth] = [0xf0, 0x9f, 0x99, 0x82].map(byte) as [number, number, number, number];
    const whole = await play([id('b'), first, second, third, fourth, id('c')]);
    assert.deepEqual(whole.steps.map(({ text }) => text), ['b', '', '', '', '🙂', 'c']);
    const half = await play([id('b'), first, second]);
    assert.deepEqual(half.steps.map(({ text }) => text), ['b', '', '\ufffd']);
    const decoder = new ToyDecoder({ logits: scripted([third, fourth], 4) });
    const completed = await generate(decoder, tokenizer, [1, id('b'), first, second], { temperature: 0, maxTokens: 2 });
    assert.equal(completed.text, '🙂');
  });

  test('the text goes on from the prompt: spaces are those that decoding both gives', async () => {
    assert.equal((await play([id('▁the'), id('▁a')])).text, ' the a');
    const decoder = new ToyDecoder({ logits: scripted([id('▁the'), id('▁a')], 1) });
    assert.equal((await generate(decoder, tokenizer, '', { temperature: 0, maxTokens: 2 })).text, 'the a');
  });

  test('an empty prompt is BOS, or an error where there is none', async () => {
    const result = await generate(new ToyDecoder(), tokenizer, [], { maxTokens: 1 });
    assert.deepEqual([...result.promptIds], [1]);
    const bare = { ...tokenizer, bosId: null, encode: () => new Int32Array(0), stream: () => tokenizer.stream() };
    assert.throws(() => generate(new ToyDecoder(), bare, ''), OptionError);
  });

  test('log-probabilities and alternatives are the model’s own', async () => {
    const options = { alternatives: 4, maxTokens: 5, seed: 1, temperature: 0.5, logitBias: { [id('x')]: 3 } };
    const result = await generate(new ToyDecoder(), tokenizer, 'a', { ...options, ignoreEos: true });
    const ids = [...result.promptIds];
    for (const step of result.steps) {
      const logits = [...hashedLogits(ids, VOCABULARY_SIZE)];
      const logTotal = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
      const order = logits.map((logit, each) => ({ each, logit })).sort((a, b) => b.logit - a.logit);
      const best = order.slice(0, 4).map(({ each }) => each);
      assert.deepEqual(step.alternatives.map((alternative) => alternative.id), best);
      step.alternatives.forEach((alternative, i) => {
        assert.ok(Math.abs(alternative.logProbability - ((order[i]?.logit ?? NaN) - logTotal)) < 1e-9);
        assert.equal(alternative.token, tokenizer.label(alternative.id));
      });
      assert.ok(Math.abs((step.logProbability ?? NaN) - ((logits[step.id] ?? NaN) - logTotal)) < 1e-9);
      ids.push(step.id);
    }
    const plain = await generate(new ToyDecoder(), tokenizer, 'a', { maxTokens: 1 });
    assert.deepEqual([plain.steps[0]?.logProbability, plain.steps[0]?.alternatives], [null, []]);
    const own = await generate(new ToyDecoder(), tokenizer, 'a', { maxTokens: 1, logProbabilities: true });
    assert.ok((own.steps[0]?.logProbability ?? 1) < 0);
  });

  test('a result says how it came about, where the decoder can tell', async () => {
    const record = (seed: number) => ({
      model: 'toy',
      hash: 'f00',
      precision: 'f32',
      head: 'f32',
      kernels: 'none',
      path: 'fused' as const,
      mode: 'exact' as const,
      cache: 'f32' as const,
      seed,
      versions: { nibblelens: '0', node: '0' },
    });
    const decoder = Object.assign(new ToyDecoder(), { record });
    const options = { maxTokens: 1, seed: 7 };
    assert.deepEqual((await generate(decoder, tokenizer, 'a', options)).record, record(7));
    const samples = await Promise.all(generateSamples(decoder, tokenizer, 'a', 2, options));
    assert.deepEqual(samples.map((sample) => sample.record?.seed), [7, 8]);
    assert.equal((await generate(new ToyDecoder(), tokenizer, 'a', options)).record, null);
  });

  test('a table has a row per step', async () => {
    const options = { maxTokens: 3, seed: 1, alternatives: 2, ignoreEos: true };
    const result = await generate(new ToyDecoder(), tokenizer, 'a', options);
    const rows = result.toTable().objects();
    const expected = result.steps.map(({ index, id, token, logProbability, alternatives, ms }) => ({
      index,
      id,
      token,
      probability: Math.exp(logProbability ?? NaN),
      alternatives: alternatives.map((each) => ({ token: each.token, probability: Math.exp(each.logProbability) })),
      milliseconds: ms,
    }));
    assert.equal(rows.length, 3);
    assert.deepEqual(rows.map((row) => ({ ...row })), expected);
    const plain = await generate(new ToyDecoder(), tokenizer, 'a', { maxTokens: 2, ignoreEos: true });
    assert.deepEqual(plain.toTable().array('probability'), [null, null]);
    assert.equal((await generate(new ToyDecoder(), tokenizer, 'a', { maxTokens: 0 })).toTable().numRows(), 0);
  });

  test('no tokens asked for: nothing is run', async () => {
    const decoder = new ToyDecoder();
    const result = await generate(decoder, tokenizer, 'a', { maxTokens: 0 });
    assert.deepEqual([result.text, result.stopReason, decoder.calls.length], ['', 'max-tokens', 0]);
  });

  test('wrong options are named', () => {
    const run = (options: object) => () => generate(new ToyDecoder(), tokenizer, 'a', options);
    assert.throws(run({ temprature: 1 }), (error) => {
      assert.ok(error instanceof UnknownNameError);
      assert.match(String(error.expected), /^temperature/);
      return true;
    });
    const bad: object[] = [
      { maxTokens: -1 }, { maxTokens: 1.5 }, { maxTokens: '7' }, { temperature: -1 }, { temperature: NaN },
      { topK: -1 }, { topP: 0 }, { topP: 1.1 }, { minP: 2 }, { typicalP: 0 }, { repetitionPenalty: 0 }, { repetitionWindow: -2 },
      { presencePenalty: Infinity }, { frequencyPenalty: 'x' }, { logitBias: { x: 1 } }, { logitBias: { 9999: 1 } },
      { logitBias: { 5: NaN } }, { logitBias: 7 }, { seed: -1 }, { seed: 2 ** 53 }, { stop: [''] }, { stop: [7] },
      { stopIds: [1e6] }, { stopIds: 3 }, { ignoreEos: 1 }, { logProbabilities: 'yes' }, { alternatives: -1 },
      { signal: {} }, { onProgress: 7 }, { contextOverflow: 'wrap' }, { contextOverflow: 'slide', keepFirst: 199 },
    ];
    for (const options of bad) assert.throws(run(options), OptionError, JSON.stringify(options));
    assert.throws(() => generate(new ToyDecoder(), tokenizer, [1, 9999]), OptionError);
    assert.throws(() => generate(new ToyDecoder(), tokenizer, JSON.parse('7')), OptionError);
    run({ maxTokens: Infinity, logitBias: new Map([[5, -Infinity]]), repetitionWindow: Infinity, seed: 2 ** 53 - 1 })();
  });
});

describe('the end of the context', () => {
  const run = (options: GenerateOptions, contextLength = 12) => {
    const decoder = new ToyDecoder({ contextLength });
    const all = { seed: 3, ignoreEos: true, maxTokens: 30, ...options };
    return { decoder, generation: generate(decoder, tokenizer, [1, 5, 6, 7, 8], all) };
  };

  test('stops, fails or slides as asked', async () => {
    const stopped = run({});
    const result = await stopped.generation;
    // 5 of the prompt and 7 generated fill the context; the last one is chosen but not run
    assert.deepEqual([result.stopReason, result.ids.length], ['context-full', 8]);

    const failing = run({ contextOverflow: 'error' });
    const steps: GenerationStep[] = [];
    await assert.rejects(async () => {
      for await (const step of failing.generation) steps.push(step);
    }, ContextFullError);
    assert.equal(steps.length, 8);
    await assert.rejects(async () => await failing.generation, ContextFullError);
    assert.equal(failing.decoder.live.size, 0);

    const sliding = run({ contextOverflow: 'slide', keepFirst: 2 });
    const slid = await sliding.generation;
    assert.deepEqual([slid.stopReason, slid.ids.length], ['max-tokens', 30]);
    assert.deepEqual(sliding.decoder.discards[0], [2, 5]);
    assert.ok(sliding.decoder.discards.every(([from]) => from === 2));
    assert.deepEqual([...slid.ids].slice(0, 8), [...result.ids]);
    assert.equal(sliding.decoder.live.size + stopped.decoder.live.size, 0);
  });

  test('a prompt that is too long is an error, or slides before it is run', async () => {
    assert.throws(() => run({}, 4), ContextFullError);
    assert.throws(() => run({ contextOverflow: 'error' }, 4), ContextFullError);
    const { decoder, generation } = run({ contextOverflow: 'slide', keepFirst: 1, maxTokens: 2 }, 4);
    const result = await generation;
    assert.deepEqual(decoder.calls[0], [3]);
    assert.deepEqual([result.promptIds.length, result.timings.promptTokens], [5, 3]);
    const exact = await run({ maxTokens: 5 }, 5).generation;
    assert.deepEqual([exact.stopReason, exact.ids.length], ['context-full', 1]);
  });

  test('sliding goes on for ever with the least of contexts', async () => {
    for (const contextLength of [2, 3, 5]) {
      const decoder = new ToyDecoder({ contextLength });
      const options = { contextOverflow: 'slide', maxTokens: 40, ignoreEos: true } as const;
      assert.equal((await generate(decoder, tokenizer, [1], options)).ids.length, 40);
    }
  });
});

describe('stopping', () => {
  const LONG = { maxTokens: 150, ignoreEos: true, seed: 8 };

  test('leaving the loop stops and releases', async () => {
    const decoder = new ToyDecoder();
    const generation = generate(decoder, tokenizer, 'a', LONG);
    for await (const { index } of generation) if (index === 3) break;
    assert.equal(decoder.live.size, 0);
    assert.equal(decoder.calls.length, 4);
    const result = await generation;
    assert.deepEqual([result.stopReason, result.ids.length], ['cancelled', 4]);
    assert.equal((await collect(generation)).length, 4);
  });

  test('a signal ends it with the text so far, at once or within a call', async () => {
    const whole = await generate(new ToyDecoder(), tokenizer, 'a', LONG);
    for (const asynchronous of [false, true]) {
      const controller = new AbortController();
      const onDecode = (call: number): void => {
        if (call === 5) controller.abort();
      };
      const decoder = new ToyDecoder(asynchronous ? { asynchronous, onDecode } : {});
      const generation = generate(decoder, tokenizer, 'a', { ...LONG, signal: controller.signal });
      const steps: GenerationStep[] = [];
      for await (const step of generation) {
        steps.push(step);
        if (!asynchronous && step.index === 4) controller.abort();
      }
      const result = await generation;
      assert.deepEqual([result.stopReason, result.ids.length], ['cancelled', 5]);
      assert.deepEqual(result.ids, whole.ids.slice(0, 5));
      assert.ok(whole.text.startsWith(result.text));
      assert.equal(decoder.live.size, 0);
    }
  });

  test('a signal that is aborted already: nothing is run', async () => {
    const decoder = new ToyDecoder();
    const result = await generate(decoder, tokenizer, 'a', { ...LONG, signal: AbortSignal.abort() });
    assert.deepEqual([result.stopReason, result.text, decoder.calls.length], ['cancelled', '', 0]);
  });

  test('text that was held back for a stop string is kept', async () => {
    const controller = new AbortController();
    const generation = play([id('b'), id('EN'), id('c')], { stop: ['END'], signal: controller.signal });
    for await (const { index } of generation) if (index === 1) controller.abort();
    const result = await generation;
    assert.deepEqual([result.stopReason, result.text], ['cancelled', 'bEN']);
  });

  test('the event loop turns meanwhile', async () => {
    const decoder = new ToyDecoder({
      logits: (ids, vocabSize) => {
        const until = performance.now() + 4;
        while (performance.now() < until);
        return hashedLogits(ids, vocabSize);
      },
    });
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await generate(decoder, tokenizer, 'a', { maxTokens: 60, ignoreEos: true });
    clearInterval(timer);
    assert.ok(turns >= 3, `${turns} turns`);
  });

  test('a decoder’s failure is the reader’s, and releases', async () => {
    for (const failingCall of [0, 3]) {
      const decoder = new ToyDecoder({
        onDecode: (call) => {
          if (call === failingCall) throw new RangeError('no');
        },
      });
      const generation = generate(decoder, tokenizer, 'a', LONG);
      await assert.rejects(async () => await generation, RangeError);
      await assert.rejects(collect(generation), RangeError);
      assert.equal(decoder.live.size, 0);
    }
  });

  test('logits that are no numbers are an error', async () => {
    for (const value of [NaN, Infinity, -Infinity]) {
      const logits = (_: readonly number[], vocabSize: number) => new Float32Array(vocabSize).fill(value, 7, 8);
      const decoder = new ToyDecoder({ logits });
      await assert.rejects(async () => await generate(decoder, tokenizer, 'a', LONG), (error) => {
        assert.ok(error instanceof NibbleLensError);
        assert.match(error.message, /logit of token 7/);
        return true;
      });
      assert.equal(decoder.live.size, 0);
    }
    const short = new ToyDecoder({ logits: () => new Float32Array(3) });
    await assert.rejects(async () => await generate(short, tokenizer, 'a', LONG), NibbleLensError);
  });

  test('progress is told', async () => {
    const seen: [number, number][] = [];
    const onProgress = (done: number, total: number): void => void seen.push([done, total]);
    await generate(new ToyDecoder(), tokenizer, [1, 5, 6], { maxTokens: 1, onProgress });
    assert.deepEqual(seen, [[3, 3]]);
  });
});

describe('several at once', () => {
  const PROMPTS = ['a', 'the a b', [1, 7, 9, 11, 13, 15], ''];

  test('a batch equals its prompts one at a time', async () => {
    const each: GenerateOptions[] = [
      { seed: 1, maxTokens: 9 },
      { seed: 2, maxTokens: 14, topK: 5, repetitionPenalty: 1.3, ignoreEos: true },
      { seed: 3, temperature: 0, maxTokens: 11, stop: ['a'], ignoreEos: true },
      { seed: 7, maxTokens: 30, alternatives: 2 },
    ];
    const decoder = new ToyDecoder();
    const batch = await Promise.all(generateBatch(decoder, tokenizer, PROMPTS, each));
    for (let i = 0; i < PROMPTS.length; i++) {
      const alone = await generate(new ToyDecoder(), tokenizer, PROMPTS[i] as string, each[i]);
      assert.deepEqual(timeless(batch[i] as GenerationResult), timeless(alone), `prompt ${i}`);
    }
    assert.equal(decoder.calls[0]?.length, 4);
    assert.equal(decoder.calls.length, Math.max(...batch.map(({ ids }) => ids.length)));
    assert.equal(decoder.live.size, 0);
    const shared = await Promise.all(generateBatch(new ToyDecoder(), tokenizer, ['a', 'a'], { seed: 5, maxTokens: 6 }));
    assert.deepEqual(shared[0]?.ids, shared[1]?.ids);
    assert.deepEqual(generateBatch(decoder, tokenizer, []), []);
  });

  test('samples share one prefill; sample i equals seed + i alone', async () => {
    const decoder = new ToyDecoder();
    const options = { seed: 20, maxTokens: 10, ignoreEos: true };
    const samples = await Promise.all(generateSamples(decoder, tokenizer, 'the a', 3, options));
    assert.deepEqual(decoder.calls[0], [tokenizer.encode('the a').length]);
    assert.deepEqual(decoder.calls[1], [1, 1, 1]);
    assert.equal(decoder.live.size, 0);
    for (let i = 0; i < 3; i++) {
      const alone = await generate(new ToyDecoder(), tokenizer, 'the a', { ...options, seed: 20 + i });
      assert.deepEqual(timeless(samples[i] as GenerationResult), timeless(alone));
    }
    assert.throws(() => generateSamples(decoder, tokenizer, 'a', 0), OptionError);
    assert.throws(() => generateSamples(decoder, tokenizer, 'a', 2, { seed: 2 ** 53 - 1 }), OptionError);
  });

  test('reading one to its end leaves none of the others holding a sequence', async () => {
    const decoder = new ToyDecoder({ asynchronous: true });
    const [first, second] = generateBatch(decoder, tokenizer, ['a', 'b'], [
      { maxTokens: 2, ignoreEos: true },
      { maxTokens: 9, ignoreEos: true },
    ]);
    await first;
    for (let turn = 0; turn < 50 && decoder.live.size > 0; turn++) await nextTurn();
    assert.equal(decoder.live.size, 0);
    assert.equal((await second).ids.length, 9);
  });

  test('one may be left or aborted while the others go on', async () => {
    const controller = new AbortController();
    const decoder = new ToyDecoder({
      onDecode: (call) => {
        if (call === 3) controller.abort();
      },
    });
    const options = { maxTokens: 10, ignoreEos: true, seed: 1 };
    const [left, aborted, whole] = generateBatch(decoder, tokenizer, ['a', 'b', 'c'], [
      options,
      { ...options, signal: controller.signal },
      options,
    ]);
    for await (const { index } of left) if (index === 1) break;
    assert.equal((await left).stopReason, 'cancelled');
    assert.deepEqual([(await aborted).stopReason, (await aborted).ids.length], ['cancelled', 3]);
    assert.deepEqual([(await whole).stopReason, (await whole).ids.length], ['max-tokens', 10]);
    assert.equal(decoder.live.size, 0);
  });

  test('a failure of one lane is its own; one of the decoder is everyone’s', async () => {
    const decoder = new ToyDecoder({ contextLength: 8 });
    const [full, fine] = generateBatch(decoder, tokenizer, ['a', 'a'], [
      { contextOverflow: 'error', ignoreEos: true },
      { maxTokens: 3, ignoreEos: true },
    ]);
    await assert.rejects(async () => await full, ContextFullError);
    assert.equal((await fine).ids.length, 3);
    const broken = new ToyDecoder({
      onDecode: () => {
        throw new RangeError('no');
      },
    });
    const all = await Promise.allSettled(generateBatch(broken, tokenizer, ['a', 'b']));
    assert.deepEqual(all.map(({ status }) => status), ['rejected', 'rejected']);
    assert.equal(decoder.live.size + broken.live.size, 0);
    assert.throws(() => generateBatch(decoder, tokenizer, ['a'], []), OptionError);
    assert.throws(() => generateBatch(decoder, tokenizer, JSON.parse('"a"')), OptionError);
  });
});
