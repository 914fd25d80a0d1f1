import { ATTENTION_CASES, FRESH_ATTENTION_CASES } from './attention.js';
import type { KernelCases } from './case.js';
import { MATMUL_CASES } from './matmul.js';
import { ROUND_CASES, ROW_CASES } from './rows.js';

export type { KernelCase } from './case.js';

/** Every kernel with a float input. */
export const KERNEL_CASES: readonly KernelCases[] = [...MATMUL_CASES, ...ROW_CASES, ROUND_CASES, ...ATTENTION_CASES];

/** The same, of calls that have a gradient. */
export const GRADIENT_CASES: readonly KernelCases[] = [...MATMUL_CASES, ...ROW_CASES, ...FRESH_ATTENTION_CASES];
