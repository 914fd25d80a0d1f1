#!/usr/bin/env node
import { guardOutput, reportFailure } from './failure.js';
import { createProgram } from './program.js';

guardOutput();
try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = reportFailure(error);
}
