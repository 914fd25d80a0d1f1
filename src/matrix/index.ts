export { dequantize } from './dequantize.js';
export { packMatrix, unpackCodes, type UnpackedMatrix } from './pack.js';
export { bitsPerWeight, storageArrays, storageBytes } from './size.js';
export * from './storage.js';
