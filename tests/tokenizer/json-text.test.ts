import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openTokenizer } from '../../src/tokenizer/index.js';
import { parseJsonText } from '../../src/tokenizer/json-text.js';
import { withFolder } from './support.js';

const noBreath = async (): Promise<void> => {};

/** What a reader makes of a text: the value, or that it is no JSON. */
async function outcome(read: (text: string) => unknown, text: string): Promise<unknown> {
  try {
    return { value: await read(text) };
  } catch (error) {
    assert.ok(error instanceof SyntaxError, String(error));
    return 'no JSON';
  }
}

async function assertSame(text: string): Promise<void> {
  const expected = await outcome(JSON.parse, text);
  assert.deepEqual(await outcome((json) => parseJsonText(json, noBreath), text), expected, text);
}

test('values are those of JSON.parse, and so are refusals, for JSON and for what is nearly JSON', async () => {
  const change = fc.record({
    at: fc.nat(),
    kind: fc.constantFrom('set', 'insert', 'delete', 'none'),
    sign: fc.constantFrom(...'{}[]":,\\ \n\t\u0000-+.0129eEtfnul\u00a0'),
  });
  await fc.assert(
    fc.asyncProperty(fc.json({ maxDepth: 4 }), fc.nat({ max: 2 }), change, async (json, indent, { at, kind, sign }) => {
      const text = JSON.stringify(JSON.parse(json), null, indent);
      const place = at % (text.length + 1);
      const rest = text.slice(place + (kind === 'insert' ? 0 : 1));
      await assertSame(kind === 'none' ? text : text.slice(0, place) + (kind === 'delete' ? '' : sign) + rest);
    }),
    { numRuns: 3000 },
  );
});

test('odd texts', async () => {
  const texts = [
    '',
    ' ',
    '1',
    '"',
    '"\\',
    '"\\u12"',
    '"\\u0041\\n"',
    '"a\nb"',
    '01',
    '1.',
    '.5',
    '-',
    '-0',
    '1e5',
    '1e999',
    '+1',
    'nul',
    'nulls',
    'true false',
    '[]',
    '[ ]',
    '[,]',
    '[1,]',
    '[1 2]',
    '{}',
    '{ }',
    '{,}',
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{a:1}',
    '{"a":1 "b":2}',
    '[1}',
    '{"a":1]',
    ']',
    '}',
    '[[',
    '{"__proto__":{"a":1},"a":2}',
    '{"a":1,"a":2}',
    '\ufeff1',
    '"\ud800"',
    '"\u007f\u2028"',
    '[1]x',
    ' [1, {"b" : [null,\r\n"\\""]}]\t',
  ];
  for (const text of texts) await assertSame(text);
  const polluted = (await parseJsonText('{"__proto__":{"polluted":1}}', noBreath)) as object;
  assert.equal(Reflect.get({}, 'polluted'), undefined);
  assert.deepEqual(Object.keys(polluted), ['__proto__']);
});

test('depth costs no stack', async () => {
  let value = await parseJsonText(`${'['.repeat(1e6)}7${']'.repeat(1e6)}`, noBreath);
  for (let depth = 0; depth < 1e6; depth++) [value] = value as [unknown];
  assert.equal(value, 7);
});

test('opening a large file gives the event loop turns and ends at an abort', async () => {
  const letters = [...'abcdefghijklmnopqrstuvwxyz0123456789'];
  const pairs = letters.flatMap((a) => letters.map((b) => [a, b]));
  const triples = pairs.flatMap(([a, b]) => letters.map((c) => [a + b, c]));
  const tokens = [...letters, ...[...pairs, ...triples].map(([a, b]) => a + b)];
  const json = {
    decoder: { type: 'Fuse' },
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [...pairs, ...triples],
    },
  };
  await withFolder({ 'tokenizer.json': json }, async (folder) => {
    const tokenizer = await openTokenizer(folder);
    assert.equal(tokenizer.vocabSize, tokens.length);
    assert.deepEqual(
      [...tokenizer.encode('abcde')].map((id) => tokenizer.token(id)),
      ['ab', 'cde'],
    );

    const controller = new AbortController();
    const opening = openTokenizer(folder, { signal: controller.signal });
    setTimeout(() => controller.abort(new RangeError('enough')), 20);
    await assert.rejects(opening, /enough/);
    await assert.rejects(openTokenizer(folder, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  });
});
