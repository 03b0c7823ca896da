// The kernel sets that were compiled, before the CPU has its say. For dispatch.cc only.
#pragma once

#include <cstdint>

#include "distance/kernels.h"

namespace shoal::distance {

// The set compiled for one target of Highway (HWY_AVX2, ...), or null if there is none.
const KernelSet* VectorKernels(int64_t target);
// "scalar": plain C++ for any CPU.
const KernelSet& PortableKernels();

}  // namespace shoal::distance
