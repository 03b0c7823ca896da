// Compiled once per instruction set: foreach_target.h includes this file again for each.
#include "distance/block_dot.h"

#define HWY_WANT_AVX3_DL
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "distance/block_dot.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// After foreach_target.h.
#include "distance/block_exact-inl.h"
#include "distance/block_pack-inl.h"
#include "distance/block_tile-inl.h"
#include "distance/isa-inl.h"

#if SHOAL_BLOCK_VECTORS
SHOAL_BLOCK_BEFORE_NAMESPACE();
namespace shoal::distance {
namespace HWY_NAMESPACE {

static constexpr BlockKernels kBlockKernels = {
    kIsa,
    kBlockLanes,
    kTileRows,
    kIntElements,
    {FloatTile<1>, FloatTile<2>},
    {IntTile<1>, IntTile<2>},
    {ScaledTile<1>, ScaledTile<2>},
    {FloatTops<1>, FloatTops<2>},
    {IntTops<1>, IntTops<2>},
    {ScaledTops<1>, ScaledTops<2>},
    PackFloats<float>,
    PackFloats<hwy::float16_t>,
    PackInts<int8_t, Side::kQuery>,
    PackInts<int8_t, Side::kRow>,
    PackInts<uint8_t, Side::kQuery>,
    PackInts<uint8_t, Side::kRow>,
    ExactL2,
    ExactDot,
    ExactL1,
    BlockHalfToFloat,
    FloatPeak,
    IntPeak,
};

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance
HWY_AFTER_NAMESPACE();
#endif  // SHOAL_BLOCK_VECTORS

#if HWY_ONCE
namespace shoal::distance {

const BlockKernels* VectorBlockKernels(int64_t target) { SHOAL_SET_OF(target, kBlockKernels) }

}  // namespace shoal::distance
#endif  // HWY_ONCE
