/** How lm_head or the embedding is held: as its file has it, or rounded when it is loaded. */
export const OUTER_TYPES = ['stored', 'f16', 'int8', 'int4'] as const;
export type OuterType = (typeof OUTER_TYPES)[number];
