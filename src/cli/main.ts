#!/usr/bin/env node
import { guardPipes, reportFailure } from './failure.js';
import { createProgram } from './program.js';

guardPipes();
try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = reportFailure(error, process.argv);
}
