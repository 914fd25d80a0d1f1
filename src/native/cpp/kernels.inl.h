// All kernel families for the lanes included before; compiled once per instruction set.
#include "kernels.h"

#include "attention.inl.h"
#include "attention_gradient.inl.h"
#include "elementwise.inl.h"
#include "matmul.inl.h"
#include "matmul_gradient.inl.h"
#include "norm.inl.h"
#include "rope.inl.h"
#include "sampling.inl.h"
#include "softmax.inl.h"

#define NIBBLELENS_STRING(text) NIBBLELENS_STRING_OF(text)
#define NIBBLELENS_STRING_OF(text) #text

namespace nibblelens::NIBBLELENS_ISA {

extern const Kernels kernelTable;
const Kernels kernelTable = {
    NIBBLELENS_STRING(NIBBLELENS_ISA),
    matmul,
    matmulGradient,
    embedding,
    rmsNormScale,
    divideRows,
    multiplyColumns,
    rmsNorm,
    rmsNormGradient,
    rope,
    attentionScores,
    attentionScoresGradient,
    softmax,
    softmaxGradient,
    attentionMix,
    attentionMixGradient,
    attention,
    swiglu,
    swigluGradient,
    add,
    exponential,
    allFinite,
    largest,
    weightSums,
};

}  // namespace nibblelens::NIBBLELENS_ISA
