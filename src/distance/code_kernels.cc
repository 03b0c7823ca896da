// Compiled once per instruction set: foreach_target.h includes this file again for each.
#include "distance/code_kernels.h"

#define HWY_WANT_AVX3_DL
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "distance/code_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// After foreach_target.h.
#include "distance/code-inl.h"
#include "distance/float-inl.h"
#include "distance/hadamard-inl.h"
#include "distance/isa-inl.h"

#if SHOAL_DISTANCE_VECTORS
SHOAL_DISTANCE_BEFORE_NAMESPACE();
namespace shoal::distance {
namespace HWY_NAMESPACE {

// The upper halves of floats.
struct LoadBfloats {
  using Element = uint16_t;
  static HWY_INLINE Floats ToFloats(hn::Vec<HalfBits> bits) {
    const hn::RebindToUnsigned<FloatLanes> d;
    return hn::BitCast(FloatLanes(), hn::ShiftLeft<16>(hn::PromoteTo(d, bits)));
  }
  static HWY_INLINE Floats Full(const std::byte* v, size_t i) {
    return ToFloats(hn::LoadU(HalfBits(), At<uint16_t>(v, i)));
  }
  static HWY_INLINE Floats First(const std::byte* v, size_t i, size_t count) {
    return ToFloats(LoadFirst(HalfBits(), At<uint16_t>(v, i), count));
  }
};

static constexpr CodeKernels kCodeKernels = {
    kIsa,
    {nullptr, SmallCodeBatch<1>, SmallCodeBatch<2>, SmallCodeBatch<3>, SmallCodeBatch<4>, nullptr,
     nullptr, nullptr, CodeBatch<ByteCodeKernel>},
    {Batch<FloatKernel<Op::kL2, LoadBfloats>>, Batch<FloatKernel<Op::kDot, LoadBfloats>>,
     Batch<FloatKernel<Op::kL1, LoadBfloats>>, nullptr},
    Hadamard,
};

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance
HWY_AFTER_NAMESPACE();
#endif  // SHOAL_DISTANCE_VECTORS

#if HWY_ONCE
namespace shoal::distance {

const CodeKernels* VectorCodeKernels(int64_t target) { SHOAL_SET_OF(target, kCodeKernels) }

}  // namespace shoal::distance
#endif  // HWY_ONCE
