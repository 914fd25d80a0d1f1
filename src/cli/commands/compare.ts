import { Option, type Command } from 'commander';
import { MODES } from '../../matrix/storage.js';
import { CACHE_TYPES } from '../../native/cache-pages.js';
import { number } from '../option-values.js';
import type { CompareFlags } from '../compare.js';

export function addCompare(program: Command): void {
  program
    .command('compare')
    .description(
      'run a text through a model and others of its vocabulary: perplexity, KL divergence, likeliest tokens kept',
    )
    .argument('<reference>', 'folder or GGUF file of the model that the others are held against')
    .argument('[others...]', 'those of the others, such as its INT4 twin')
    .requiredOption('--text <file>', 'a text of some length')
    .option(
      '--window <number>',
      'tokens that are seen at once (what the contexts hold, 512 at most)',
      number('--window', { from: 1, whole: true }),
    )
    .option(
      '--windows <number>',
      'most windows to look at (all that the text fills)',
      number('--windows', { from: 1, whole: true }),
    )
    .addOption(new Option('--modes <mode...>', 'open each model in each of these (exact)').choices(MODES))
    .addOption(new Option('--caches <type...>', 'the same of the KV cache (f32)').choices(CACHE_TYPES))
    .option('--json', 'as JSON')
    .action(async (reference: string, others: string[], flags: CompareFlags) => {
      const { runCompare } = await import('../compare.js');
      await runCompare([reference, ...others], flags);
    });
}
