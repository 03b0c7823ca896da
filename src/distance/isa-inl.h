// What the files that are compiled once per instruction set have in common: the set's name, and the
// way from a target of Highway to its set. After foreach_target.h.

// Per target.
#if defined(SHOAL_DISTANCE_ISA_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SHOAL_DISTANCE_ISA_INL_H_
#undef SHOAL_DISTANCE_ISA_INL_H_
#else
#define SHOAL_DISTANCE_ISA_INL_H_
#endif

#include "hwy/highway.h"

namespace shoal::distance {
namespace HWY_NAMESPACE {

constexpr const char* kIsa = HWY_TARGET == HWY_AVX3_DL ? "avx3_dl"
                             : HWY_TARGET == HWY_AVX3  ? "avx3"
                             : HWY_TARGET == HWY_AVX2  ? "avx2"
                             : HWY_TARGET == HWY_SSE4  ? "sse4"
                                                       : "ssse3";

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance

#endif  // per target

// Once.
#ifndef SHOAL_SET_OF
#if HWY_TARGETS & HWY_AVX3_DL
#define SHOAL_SET_OF_AVX3_DL(name) \
  case HWY_AVX3_DL: return &N_AVX3_DL::name;
#else
#define SHOAL_SET_OF_AVX3_DL(name)
#endif
#if HWY_TARGETS & HWY_AVX3
#define SHOAL_SET_OF_AVX3(name) \
  case HWY_AVX3: return &N_AVX3::name;
#else
#define SHOAL_SET_OF_AVX3(name)
#endif
#if HWY_TARGETS & HWY_AVX2
#define SHOAL_SET_OF_AVX2(name) \
  case HWY_AVX2: return &N_AVX2::name;
#else
#define SHOAL_SET_OF_AVX2(name)
#endif
#if HWY_TARGETS & HWY_SSE4
#define SHOAL_SET_OF_SSE4(name) \
  case HWY_SSE4: return &N_SSE4::name;
#else
#define SHOAL_SET_OF_SSE4(name)
#endif
#if HWY_TARGETS & HWY_SSSE3
#define SHOAL_SET_OF_SSSE3(name) \
  case HWY_SSSE3: return &N_SSSE3::name;
#else
#define SHOAL_SET_OF_SSSE3(name)
#endif
// Statement: returns the address of `name` in the namespace of `target`; null: it has none.
#define SHOAL_SET_OF(target, name) \
  switch (target) {                \
    SHOAL_SET_OF_AVX3_DL(name)     \
    SHOAL_SET_OF_AVX3(name)        \
    SHOAL_SET_OF_AVX2(name)        \
    SHOAL_SET_OF_SSE4(name)        \
    SHOAL_SET_OF_SSSE3(name)       \
    default: return nullptr;       \
  }
#endif
