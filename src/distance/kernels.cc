// Compiles the kernels once per instruction set: foreach_target.h includes this file again for
// each.
#include "distance/kernels.h"

#define HWY_WANT_AVX3_DL
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "distance/kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// After foreach_target.h.
#include "distance/bits-inl.h"
#include "distance/float-inl.h"
#include "distance/int-inl.h"
#include "distance/isa-inl.h"
#include "distance/vnni-inl.h"

#if SHOAL_DISTANCE_VECTORS
SHOAL_DISTANCE_BEFORE_NAMESPACE();
namespace shoal::distance {
namespace HWY_NAMESPACE {

template <class T>
using IntL2 =
#if HWY_TARGET == HWY_AVX3_DL
    VnniL2Kernel<T>;
#else
    IntL2Kernel<T>;
#endif
template <class T>
using IntDot =
#if HWY_TARGET == HWY_AVX3_DL
    VnniDotKernel<T>;
#else
    IntDotKernel<T>;
#endif

template <Op kOp>
using Float32 = FloatKernel<kOp, LoadFloats>;
template <Op kOp>
using Float16 = FloatKernel<kOp, LoadHalves>;

static constexpr KernelSet kKernels = {
    kIsa,
    {{Batch<Float32<Op::kL2>>, Batch<Float16<Op::kL2>>, Batch<IntL2<int8_t>>, Batch<IntL2<uint8_t>>,
      nullptr},
     {Batch<Float32<Op::kDot>>, Batch<Float16<Op::kDot>>, Batch<IntDot<int8_t>>,
      Batch<IntDot<uint8_t>>, nullptr},
     {Batch<Float32<Op::kL1>>, Batch<Float16<Op::kL1>>, Batch<IntL1Kernel<int8_t>>,
      Batch<IntL1Kernel<uint8_t>>, nullptr},
     {nullptr, nullptr, nullptr, nullptr, HammingBatch}},
    {{Pair<Float32<Op::kL2>>, Pair<Float16<Op::kL2>>, Pair<IntL2<int8_t>>, Pair<IntL2<uint8_t>>,
      nullptr},
     {Pair<Float32<Op::kDot>>, Pair<Float16<Op::kDot>>, Pair<IntDot<int8_t>>, Pair<IntDot<uint8_t>>,
      nullptr},
     {Pair<Float32<Op::kL1>>, Pair<Float16<Op::kL1>>, Pair<IntL1Kernel<int8_t>>,
      Pair<IntL1Kernel<uint8_t>>, nullptr},
     {nullptr, nullptr, nullptr, nullptr, HammingPair}},
    {{nullptr, nullptr, PairExact<IntL2<int8_t>>, PairExact<IntL2<uint8_t>>, nullptr},
     {nullptr, nullptr, PairExact<IntDot<int8_t>>, PairExact<IntDot<uint8_t>>, nullptr},
     {nullptr, nullptr, PairExact<IntL1Kernel<int8_t>>, PairExact<IntL1Kernel<uint8_t>>, nullptr},
     {nullptr, nullptr, nullptr, nullptr, HammingPairExact}},
    HalfToFloat,
};

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance
HWY_AFTER_NAMESPACE();
#endif  // SHOAL_DISTANCE_VECTORS

#if HWY_ONCE
namespace shoal::distance {

const KernelSet* VectorKernels(int64_t target) { SHOAL_SET_OF(target, kKernels) }

}  // namespace shoal::distance
#endif  // HWY_ONCE
