// The version of shoal that a program was compiled against, and what it runs on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "shoal/export.h"

#define SHOAL_VERSION_MAJOR 0
#define SHOAL_VERSION_MINOR 1
#define SHOAL_VERSION_PATCH 0
// 100 for 0.1.0: major * 10000 + minor * 100 + patch.
#define SHOAL_VERSION \
  (SHOAL_VERSION_MAJOR * 10000 + SHOAL_VERSION_MINOR * 100 + SHOAL_VERSION_PATCH)

namespace shoal {

// "0.1.0": of the library that is linked, which may be newer than the headers.
SHOAL_API std::string_view Version();

// The instruction set of the distance kernels that this process uses: "avx3_dl", "avx3", "avx2",
// "sse4", "ssse3" or "scalar". Chosen at the first use: the best that the CPU has, or the one that
// the environment variable SHOAL_ISA names. A SHOAL_ISA that this CPU lacks, or that is no name, is
// ignored; `IsaNote` says so.
SHOAL_API std::string_view ActiveIsa();
// All instruction sets that this binary contains and this CPU runs, best first.
SHOAL_API std::vector<std::string_view> AvailableIsas();
// Empty, or one line that says why SHOAL_ISA was ignored.
SHOAL_API std::string_view IsaNote();

}  // namespace shoal
