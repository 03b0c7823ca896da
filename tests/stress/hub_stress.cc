// Stress of points at which a large part of all others point, as they come and go.
//
// Unit vectors, and a few that are nearly zero, which are nearer to every vector than all others
// are. The repair of one of these takes many steps (graph/repairer.h), its reverse list is split
// (store/reverse_lists.h), and every insert and every prune anywhere changes it. A vector certifies
// its id: it is one of few versions that follow from the id. Each round is one index, half filled.
// Threads upsert, delete, read and search ids at random, hubs often, while lists are refined and
// points relocated. Then, at rest: repairs come to their end, and CheckStructure passes before and
// after.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>

#include "shoal/index.h"
#include "stress/stress.h"

namespace shoal::testing {
namespace {

constexpr size_t kDim = 80;  // So many that random directions are all far apart.
constexpr uint64_t kIds = 4000, kHubs = 3, kVersions = 4;
constexpr int kCalls = 1500;  // Of each thread in a round.
using Vector = std::array<float, kDim>;

bool IsHub(ExternalId id) { return id < kHubs; }

Vector VersionOf(ExternalId id, uint64_t version) {
  Random random(Random::Mix(id * kVersions + version));
  Vector vector;
  float squares = 0;
  for (float& x : vector) {
    x = static_cast<float>(random.Below(20001)) / 10000.0f - 1;
    squares += x * x;
  }
  for (float& x : vector) x *= (IsHub(id) ? 0.02f : 1.0f) / std::sqrt(squares);
  return vector;
}

struct Counts {
  std::atomic<uint64_t> searches{0}, upserts{0}, deletes{0}, hub_deletes{0}, compacts{0},
      consolidates{0};
};

std::atomic<uint64_t> steps{0}, branches{0};

// Sees that hubs are ones.
void AtPoint(const char* point) {
  if (std::strcmp(point, "repair.partial") == 0) ++steps;
  if (std::strcmp(point, "reverse.split") == 0) ++branches;
#if defined(SHOAL_TEST_HOOKS)
  YieldAtRandom(point);
#endif
}

class Round {
 public:
  Round(Stress& stress, Counts& counts, RepairPolicy policy)
      : stress_(stress),
        counts_(counts),
        policy_(policy),
        index_(*Index::Create({.dim = kDim,
                               .max_degree = 6,
                               .build_list_size = 30,
                               .runtime = {.repair = policy, .repair_threads = 2}})) {}

  void Run(size_t threads, uint64_t seed) {
    for (ExternalId id = 0; id < kIds; id += IsHub(id) ? 1 : 2) Upsert(id, 0);
    std::vector<std::thread> callers;
    for (size_t i = 0; i < threads; ++i) {
      callers.emplace_back([this, i, seed] {
        Random random(Random::Mix(seed + i));
        for (int call = 0; call < kCalls && !stress_.Failed(); ++call) Call(random);
      });
    }
    for (std::thread& caller : callers) caller.join();
    if (policy_ != RepairPolicy::kBackground) CheckWhole("at rest");  // Its threads never rest.
    if (const Status done = index_.Consolidate(); !done)
      stress_.Violation("consolidate: " + done.error().message);
    stress_.Check(index_.Stats().pending_repairs == 0, "repairs are left after a consolidation");
    CheckWhole("after a consolidation");
  }

 private:
  void Call(Random& random) {
    const ExternalId id = random.Below(random.OneIn(8) ? kHubs : kIds);
    const uint64_t kind = random.Below(1000), version = random.Below(kVersions);
    if (kind < 300) return Upsert(id, version);
    if (kind < 600) return Delete(id);
    if (kind < 990) return kind % 3 == 0 ? Get(id) : Search(VersionOf(id, version));
    if (kind < 996) {
      ++counts_.consolidates;
      return Expect(index_.Consolidate(), "consolidate");
    }
    if (kind < 998) return Expect(index_.Refine({.threads = 1}), "refine");
    ++counts_.compacts;
    if (const auto moved = index_.Compact(); !moved)
      stress_.Violation("compact: " + moved.error().message);
  }

  void Expect(const Status& status, const char* what) {
    if (!status) stress_.Violation(std::string(what) + ": " + status.error().message);
  }

  void Upsert(ExternalId id, uint64_t version) {
    ++counts_.upserts;
    Expect(index_.Upsert(id, VersionOf(id, version)), "upsert");
  }

  void Delete(ExternalId id) {
    const Status deleted = index_.Delete(id);
    if (!deleted) {
      if (deleted.error().code != ErrorCode::kNotFound)
        stress_.Violation("delete: " + deleted.error().message);
      return;
    }
    ++counts_.deletes;
    if (IsHub(id)) ++counts_.hub_deletes;
  }

  void Get(ExternalId id) {
    Vector vector;
    if (!index_.Get(id, vector)) return;
    for (uint64_t version = 0; version < kVersions; ++version)
      if (vector == VersionOf(id, version)) return;
    stress_.Violation("the vector of id " + std::to_string(id) + " is none of its versions");
  }

  void Search(const Vector& query) {
    ++counts_.searches;
    const auto hits = index_.Search(query, {.k = 10, .search_list_size = 30});
    if (!hits) return stress_.Violation("search: " + hits.error().message);
    for (const Hit& hit : *hits) {
      bool genuine = false;
      for (uint64_t version = 0; version < kVersions && hit.id < kIds; ++version)
        genuine |= std::abs(Distance(query, VersionOf(hit.id, version)) - hit.distance) < 1e-4f;
      if (!genuine) stress_.Violation("a hit at a distance of no version of its id");
    }
  }

  void CheckWhole(const char* when) {
    const Status whole = index_.CheckStructure();
    if (!whole) stress_.Violation(std::string(when) + ": " + whole.error().message);
  }

  Stress& stress_;
  Counts& counts_;
  const RepairPolicy policy_;
  Index index_;
};

int Run(const StressOptions& options) {
  Stress stress("hub_stress", options);
  sync_point_handler.store(&AtPoint, std::memory_order_release);
  Counts counts;
  uint64_t rounds = 0;
  const auto figures = [&]() -> std::vector<Stress::Figure> {
    return {{"rounds", rounds},
            {"searches", counts.searches},
            {"upserts", counts.upserts},
            {"deletes", counts.deletes},
            {"of hubs", counts.hub_deletes},
            {"steps", steps},
            {"branches", branches},
            {"consolidates", counts.consolidates},
            {"compacts", counts.compacts}};
  };
  do {
    auto round = std::make_unique<Round>(stress, counts, static_cast<RepairPolicy>(rounds % 3));
    round->Run(options.threads, Random::Mix(options.seed + rounds));
    ++rounds;
  } while (stress.Running(figures()));
  return stress.Finish(figures());
}

}  // namespace
}  // namespace shoal::testing

int main(int argc, char** argv) {
  shoal::testing::StressOptions options;
  if (!shoal::testing::ParseStressOptions(argc, argv, options)) return 2;
  return shoal::testing::Run(options);
}
