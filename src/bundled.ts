import { fileURLToPath } from 'node:url';

const inData = (name: string): string => fileURLToPath(new URL(`../data/${name}`, import.meta.url));

/** Folders of the models that come with the library, to be given to `loadModel`. */
export const bundled: { readonly storyteller: string; readonly storytellerInt4: string } = {
  /** A 6.6-million-parameter LLaMA trained on children's books, bfloat16. */
  storyteller: inData('storyteller'),
  /** The same with its layers' matrices rounded to 4 bits, as an AWQ checkpoint. */
  storytellerInt4: inData('storyteller-int4'),
};
