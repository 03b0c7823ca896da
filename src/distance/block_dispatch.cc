// Which block kernels this CPU runs: decided once.
#include "distance/block_dot.h"
#include "distance/sets.h"

namespace shoal::distance {
namespace {

const Sets<BlockKernels>& TheSets() {
  static const Sets<BlockKernels> sets(VectorBlockKernels, PortableBlockKernels());
  return sets;
}

}  // namespace

std::span<const BlockKernels* const> AvailableBlockKernels() { return TheSets().all(); }

const BlockKernels& BlockKernelsFor(std::string_view isa) {
  const BlockKernels* const set = TheSets().Find(isa);
  return set != nullptr ? *set : *TheSets().all()[0];
}

}  // namespace shoal::distance
