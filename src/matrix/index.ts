export { dequantize } from './dequantize.js';
export { arrayLengths, formBytes, formName, formOf, type DenseForm, type PackedForm, type StorageForm } from './form.js';
export { packMatrix, unpackCodes, type UnpackedMatrix } from './pack.js';
export { CODE_BITS, groupSlot, middleZero, packRow, unpackRow } from './panels.js';
export { bitsPerWeight, storageArrays, storageBytes } from './size.js';
export * from './storage.js';
