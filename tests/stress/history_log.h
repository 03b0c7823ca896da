// What the threads of history_stress work on, and what they write down of it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "shoal/index.h"
#include "stress/history.h"
#include "stress/stress.h"

namespace shoal::testing {

inline constexpr size_t kDim = 8;
inline constexpr size_t kIds = 2000;
inline constexpr size_t kHotIds = 48;  // Half of all calls are for these.
using Vector = std::array<float, kDim>;

inline Vector VectorOf(ExternalId id, uint64_t version) {
  Vector vector;
  for (size_t i = 0; i < kDim; ++i) {
    const uint64_t where = Random::Mix(id * kDim + i) % 250;
    const uint64_t aside = Random::Mix(version * kDim + i + 77) % 16;
    vector[i] = static_cast<float>(where) + static_cast<float>(aside) * 0.25f;
  }
  return vector;
}

struct SearchEvent {
  uint64_t start = 0, end = 0;
  Vector query;
  std::optional<ExternalId> sought;
  std::vector<Hit> hits;
};
struct IdsEvent {
  uint64_t start = 0, end = 0;
  std::vector<ExternalId> ids;
};

// A Save, and what a Load of its file found in it.
struct SnapshotEvent {
  uint64_t start = 0, end = 0;
  std::vector<std::pair<ExternalId, Vector>> points;
};

// What one thread did in one round.
struct Log {
  std::vector<std::pair<ExternalId, Event>> events;
  std::vector<std::pair<ExternalId, Vector>> got;  // By Gets, in their order.
  std::vector<SearchEvent> searches;
  std::vector<IdsEvent> all_ids;
  std::vector<SnapshotEvent> snapshots;
  void Clear() { *this = {}; }
};

}  // namespace shoal::testing
