// Which kernels of codes this CPU runs. Apart from code_kernels.cc, whose object may hold nothing
// but per-target code.
#include <array>

#define HWY_WANT_AVX3_DL
#include "distance/code_kernels.h"
#include "hwy/targets.h"

namespace shoal::distance {
namespace {

constexpr int64_t kTargets[] = {HWY_AVX3_DL, HWY_AVX3, HWY_AVX2, HWY_SSE4, HWY_SSSE3};

struct Sets {
  std::array<const CodeKernels*, std::size(kTargets) + 1> sets;
  size_t count = 0;
};

Sets FindSets() {
  Sets found;
  const int64_t supported = hwy::SupportedTargets();
  for (const int64_t target : kTargets) {
    const CodeKernels* set = VectorCodeKernels(target);
    if ((supported & target) != 0 && set != nullptr) found.sets[found.count++] = set;
  }
  found.sets[found.count++] = &PortableCodeKernels();
  return found;
}

const CodeKernels& FindActive() {
  for (const CodeKernels* set : AvailableCodes())
    if (set->isa == Active().isa) return *set;
  return PortableCodeKernels();
}

}  // namespace

std::span<const CodeKernels* const> AvailableCodes() {
  static const Sets sets = FindSets();
  return {sets.sets.data(), sets.count};
}

const CodeKernels& ActiveCodes() {
  static const CodeKernels& active = FindActive();
  return active;
}

}  // namespace shoal::distance
