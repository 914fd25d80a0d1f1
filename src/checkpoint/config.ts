/**
 * What a LLaMA-family `config.json` or the metadata of a GGUF file say, with every key resolved: read by `parseConfig`.
 * Names are those of Hugging Face, in camel case.
 */
export interface LlamaConfig {
  readonly architecture: string;
  readonly modelType: string;
  /** d_model */
  readonly hiddenSize: number;
  /** d_ff */
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  /** d_head; hiddenSize / numAttentionHeads unless the file says otherwise. */
  readonly headDim: number;
  readonly vocabSize: number;
  /** Positions that the model was trained for. */
  readonly maxPositionEmbeddings: number;
  readonly rmsNormEps: number;
  readonly rope: RopeConfig;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  /** lm_head is the embedding, and a file holds it once, under either name. False where the file does not say. */
  readonly tieWordEmbeddings: boolean;
  readonly bosTokenId: number | null;
  /** Union of config.json and generation_config.json; may be empty. */
  readonly eosTokenIds: readonly number[];
  readonly quantization: QuantizationConfig | null;
}

/** RoPE with its scaling, from `rope_parameters` (transformers 5), `rope_theta` and `rope_scaling`, or a GGUF file. */
export type RopeConfig =
  | { readonly type: 'default'; readonly theta: number }
  | { readonly type: 'linear'; readonly theta: number; readonly factor: number }
  | {
      readonly type: 'yarn';
      readonly theta: number;
      readonly factor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly originalMaxPositionEmbeddings: number;
      /** Factor on cos and sin. */
      readonly attentionFactor: number;
      /** Whether the ends of the ramp are rounded to whole dimensions (the default). */
      readonly truncate: boolean;
    }
  | {
      readonly type: 'llama3';
      readonly theta: number;
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositionEmbeddings: number;
    }
  | {
      /** Each frequency has a divisor of its own: what GGUF files say in place of llama3. */
      readonly type: 'factors';
      readonly theta: number;
      /** [d_head / 2] */
      readonly factors: readonly number[];
    };

/** `quantization_config` of an AWQ checkpoint. `version` is a hint: layouts are told apart by shapes and dtypes. */
export interface QuantizationConfig {
  readonly method: 'awq';
  readonly bits: 4;
  /** −1 in the file (one group per row) is given here as Infinity. */
  readonly groupSize: number;
  readonly zeroPoint: boolean;
  readonly version: string;
}
