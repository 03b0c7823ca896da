#include "runner/machine.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <shoal_bench_commit.h>
#include <sys/utsname.h>

#include <ctime>
#include <fstream>

#include "base/memory.h"
#include "shoal/version.h"

namespace shoal::bench {
namespace {

#if defined(__clang__)
constexpr const char* kCompiler = "clang++ " __clang_version__;
#else
constexpr const char* kCompiler = "g++ " __VERSION__;
#endif

constexpr bool kSlowed =
#if !defined(NDEBUG) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    defined(SHOAL_TEST_HOOKS)
    true;
#else
    false;
#endif

// What stands behind the first line of /proc/cpuinfo that begins with `key`.
std::string CpuInfo(std::string_view key) {
  std::ifstream lines("/proc/cpuinfo");
  for (std::string line; std::getline(lines, line);) {
    const size_t value = line.find(": ");
    if (line.starts_with(key) && value != std::string::npos) return line.substr(value + 2);
  }
  return "unknown";
}

std::string Kernel() {
  utsname name{};
  return uname(&name) == 0 ? fmt::format("{} {}", name.sysname, name.release) : "unknown";
}

}  // namespace

const BuildFacts& ThisBuild() {
  static constexpr BuildFacts kFacts{.commit = SHOAL_BENCH_COMMIT,
                                     .compiler = kCompiler,
                                     .build_type = SHOAL_BENCH_BUILD_TYPE,
                                     .slowed = kSlowed};
  return kFacts;
}

Expected<void> MayTime(const BuildFacts& build, DebugBuilds debug_builds) {
  if (!build.slowed || debug_builds == DebugBuilds::kAllow) return {};
  return tl::unexpected(fmt::format(
      "build type: expected Release, found {} with assertions, sanitizers or sync points, whose "
      "figures say nothing; --allow-debug runs it all the same",
      build.build_type));
}

Json MachineFacts() {
  return {{"cpu", CpuInfo("model name")},
          {"cores", AvailableCpus()},
          {"memory_bytes", PhysicalMemory()},
          {"kernel", Kernel()},
          {"isa", ActiveIsa()},
          {"commit", ThisBuild().commit},
          {"compiler", ThisBuild().compiler},
          {"build_type", ThisBuild().build_type},
          {"date", UtcNow()}};
}

std::string UtcNow() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

}  // namespace shoal::bench
