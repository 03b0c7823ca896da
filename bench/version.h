// What the benchmarks answer to --version.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

#include "shoal/version.h"

namespace shoal::bench {

// "churn (shoal 0.1.0, avx3_dl)", and a line why not the instruction set that SHOAL_ISA names.
inline std::string VersionLine(std::string_view name) {
  const std::string line = fmt::format("{} (shoal {}, {})", name, Version(), ActiveIsa());
  return IsaNote().empty() ? line : fmt::format("{}\n{}", line, IsaNote());
}

inline void AddVersion(CLI::App& app, std::string_view name) {
  app.set_version_flag("--version", VersionLine(name), "print shoal's version and the ISA in use");
}

}  // namespace shoal::bench
