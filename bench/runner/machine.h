// What a result was measured on and with.
#pragma once

#include <string>
#include <string_view>

#include "runner/json.h"

namespace shoal::bench {

// How this program was compiled.
struct BuildFacts {
  std::string_view commit;      // Of the source; "-dirty" behind it: with changes. "unknown".
  std::string_view compiler;    // "g++ 12.2.0"
  std::string_view build_type;  // "Release"
  // Assertions, sanitizers or sync points are compiled in.
  bool slowed = false;
};
const BuildFacts& ThisBuild();

enum class DebugBuilds { kRefuse, kAllow };
// Why a program that was compiled like that does not time anything.
Expected<void> MayTime(const BuildFacts& build, DebugBuilds debug_builds);

// The `machine` member of a results file.
Json MachineFacts();

// "2026-11-21T15:00:00Z", now.
std::string UtcNow();

}  // namespace shoal::bench
