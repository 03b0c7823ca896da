// Which kernels of codes this CPU runs: decided once.
#include "distance/code_kernels.h"
#include "distance/sets.h"

namespace shoal::distance {
namespace {

const Sets<CodeKernels>& TheSets() {
  static const Sets<CodeKernels> sets(VectorCodeKernels, PortableCodeKernels());
  return sets;
}

const CodeKernels& FindActive() {
  const CodeKernels* const active = TheSets().Find(Active().isa);
  return active != nullptr ? *active : PortableCodeKernels();
}

}  // namespace

std::span<const CodeKernels* const> AvailableCodes() { return TheSets().all(); }

const CodeKernels& ActiveCodes() {
  static const CodeKernels& active = FindActive();
  return active;
}

}  // namespace shoal::distance
