// Which block kernels this CPU runs: decided once. Apart from block_dot.cc, whose object may hold
// nothing but per-target code.
#include <array>

#define HWY_WANT_AVX3_DL
#include "distance/block_dot.h"
#include "hwy/targets.h"

namespace shoal::distance {
namespace {

constexpr int64_t kTargets[] = {HWY_AVX3_DL, HWY_AVX3, HWY_AVX2, HWY_SSE4, HWY_SSSE3};

struct Sets {
  std::array<const BlockKernels*, std::size(kTargets) + 1> sets;
  size_t count = 0;
};

Sets FindSets() {
  Sets found;
  const int64_t supported = hwy::SupportedTargets();
  for (const int64_t target : kTargets) {
    const BlockKernels* set = VectorBlockKernels(target);
    if ((supported & target) != 0 && set != nullptr) found.sets[found.count++] = set;
  }
  found.sets[found.count++] = &PortableBlockKernels();
  return found;
}

const Sets& TheSets() {
  static const Sets sets = FindSets();
  return sets;
}

}  // namespace

std::span<const BlockKernels* const> AvailableBlockKernels() {
  return {TheSets().sets.data(), TheSets().count};
}

const BlockKernels& BlockKernelsFor(std::string_view isa) {
  for (const BlockKernels* set : AvailableBlockKernels())
    if (set->isa == isa) return *set;
  return *AvailableBlockKernels()[0];
}

}  // namespace shoal::distance
