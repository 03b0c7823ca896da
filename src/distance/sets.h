// The kernel sets of one kind that were compiled and that this CPU runs. For the dispatchers, which
// are apart from the kernels: an object of kernels may hold nothing but per-target code.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string_view>

#define HWY_WANT_AVX3_DL
#include "hwy/targets.h"

namespace shoal::distance {

// Of the instruction sets that Highway compiles for, best first.
inline constexpr int64_t kTargets[] = {HWY_AVX3_DL, HWY_AVX3, HWY_AVX2, HWY_SSE4, HWY_SSSE3};

template <class Set>
class Sets {
 public:
  // `compiled`: the set of a target, or null. `portable`: plain C++ for any CPU.
  Sets(const Set* (*compiled)(int64_t target), const Set& portable) {
    const int64_t supported = hwy::SupportedTargets();
    for (const int64_t target : kTargets) {
      const Set* set = compiled(target);
      if ((supported & target) != 0 && set != nullptr) sets_[count_++] = set;
    }
    sets_[count_++] = &portable;
  }
  // Best first; never empty.
  std::span<const Set* const> all() const { return {sets_.data(), count_}; }
  // The one of that name; null: there is none.
  const Set* Find(std::string_view isa) const {
    for (const Set* set : all())
      if (set->isa == isa) return set;
    return nullptr;
  }

 private:
  std::array<const Set*, std::size(kTargets) + 1> sets_{};
  size_t count_ = 0;
};

}  // namespace shoal::distance
