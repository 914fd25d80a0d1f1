import { Command } from 'commander';
import { setLogLevel } from '../base/logger.js';
import { addBench } from './commands/bench.js';
import { addCompare } from './commands/compare.js';
import { addConvert } from './commands/convert.js';
import { addGenerate } from './commands/generate.js';
import { addEnvironment } from './commands/environment.js';
import { addInspect } from './commands/inspect.js';
import { addLab } from './commands/lab.js';
import { addMakeWeights } from './commands/make-weights.js';
import { addQuantize } from './commands/quantize.js';
import { addSetup } from './commands/setup.js';
import { UsageError } from './failure.js';
import { packageVersion } from './package-folder.js';

/**
 * The command line. Each command is declared in a file of its own, which imports what does the work only when the
 * command runs, so that help and errors come at once.
 */
export function createProgram(): Command {
  const program = new Command('nibblelens')
    .description('Open an INT4 LLaMA, let it write, look inside.')
    .version(packageVersion())
    .helpCommand(false)
    // the same on every terminal, as the docs quote it
    .configureHelp({ helpWidth: 100 })
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  for (const add of [addGenerate, addInspect, addCompare, addQuantize, addConvert, addMakeWeights, addBench, addLab, addEnvironment, addSetup]) add(program);
  for (const command of program.commands) {
    command
      .option('--verbose', 'tell more on standard error')
      .option('--quiet', 'tell only of errors on standard error');
  }
  program.hook('preAction', (_, action) => {
    const { verbose, quiet } = action.opts<{ verbose?: boolean; quiet?: boolean }>();
    if (verbose && quiet) throw new UsageError('found --verbose and --quiet, expected one of them');
    if (verbose) setLogLevel('debug');
    else if (quiet) setLogLevel('error');
  });
  return program;
}
