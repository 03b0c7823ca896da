// Stress of the edge protocol: rows, reverse lists and committed guards of very few, very busy
// slots. Rounds of two kinds take turns; between rounds everything is at rest and is checked.
//
//   Churn   threads link, unlink, prune and delete random slots (with repair, retire and reuse).
//   Prune   threads only link and prune, so nothing may lose its last guard (an edge from an older
//           slot): every slot that was seen with one is asked for one again and again.
//
// At rest: rows lead to live slots, without duplicates and loops; reverse lists are exactly the
// rows transposed; guards and edges are counted right; slots that are not live
// name nobody. --threads: in all.
#include <algorithm>
#include <barrier>
#include <string>

#include "stress/stress.h"
#include "support/store_fixture.h"

namespace shoal::testing {
namespace {

constexpr uint32_t kDegree = 6;
constexpr size_t kPoints = 24;
constexpr int kSteps = 1500;  // Of one thread in one round.

class EdgeStress {
 public:
  explicit EdgeStress(const StressOptions& options)
      : threads_(options.threads), stress_("edge_stress", options), committed_(kPoints * 64) {}

  int Run() {
    for (size_t i = 0; i < kPoints; ++i) points_[i] = store_.Make();
    const auto at_rest = [this]() noexcept { EndRound(); };
    std::barrier barrier(static_cast<ptrdiff_t>(threads_), at_rest);
    for (size_t i = 0; i < threads_; ++i) {
      stress_.Spawn([&](Random& random) {
        while (!done_) {  // Written by the barrier's completion only.
          for (int step = 0; step < kSteps; ++step) pruning_ ? PruneStep(random) : Churn(random);
          barrier.arrive_and_wait();
        }
      });
    }
    stress_.Join();
    return stress_.Finish({{"rounds", rounds_},
                           {"linked", linked_},
                           {"unlinked", unlinked_},
                           {"pruned", pruned_},
                           {"prune restarts", restarts_},
                           {"refused last guards", refused_},
                           {"deleted", deleted_},
                           {"pushes taken back", taken_back_}});
  }

 private:
  SlotId Pick(Random& random) {
    return points_[random.Below(kPoints)].load(std::memory_order_acquire);
  }

  void Churn(Random& random) {
    // Before the picks: a slot that was picked outside may belong to the next tenant's owner.
    const EpochRegistry::Guard guard = store_.epochs.Pin();
    const SlotId u = Pick(random), v = Pick(random);
    const uint64_t kind = random.Below(100);
    if (kind >= 92) {
      Replace(random.Below(kPoints));
    } else if (kind < 50) {
      Link(u, v);
    } else if (kind < 75) {
      if (store_.neighbors.Unlink(u, v)) ++unlinked_;
    } else {
      Prune(u, random);
    }
  }

  void PruneStep(Random& random) {
    const EpochRegistry::Guard guard = store_.epochs.Pin();
    const SlotId u = Pick(random), v = Pick(random);
    random.OneIn(2) ? Link(u, v) : Prune(u, random);
    if (committed_[v].load(std::memory_order_acquire)) {
      stress_.Check(store_.neighbors.GuardCount(v) > 0, "a point lost its last guard");
    } else if (store_.neighbors.GuardCount(v) > 0) {
      committed_[v].store(true, std::memory_order_release);
    }
  }

  void Link(SlotId u, SlotId v) {
    if (u == v) return;
    const auto result = store_.neighbors.Link(u, v);
    if (result == NeighborLists::LinkResult::kLinked) ++linked_;
    if (result == NeighborLists::LinkResult::kNoMemory) stress_.Violation("no memory");
  }

  // Keeps a random part of u's row and adds one, from a copy, as the graph does.
  void Prune(SlotId u, Random& random) {
    NeighborLists& lists = store_.neighbors;
    NeighborLists::Replacement replacement;
    replacement.version = lists.Version(u);
    std::vector<SlotId> wanted;
    const std::vector<SlotId> row = store_.Row(u);
    for (const SlotId v : row)
      if (random.OneIn(2)) wanted.push_back(v);
    const SlotId fresh = Pick(random);
    const bool pushed = fresh != u && std::find(row.begin(), row.end(), fresh) == row.end() &&
                        lists.Push(u, fresh) == NeighborLists::LinkResult::kLinked;
    if (pushed) wanted.push_back(fresh);
    if (random.OneIn(4)) std::this_thread::yield();
    replacement.wanted = wanted;
    if (!lists.Replace(u, replacement)) {
      ++restarts_;
      if (pushed) lists.TakeBack(u, fresh);
      return;
    }
    ++pruned_;
    const bool added = !replacement.added.empty();
    refused_ += row.size() + (added ? 1 : 0) - replacement.take_back.size() > wanted.size() ? 1 : 0;
    for (const SlotId v : replacement.take_back) lists.TakeBack(u, v);
    taken_back_ += replacement.take_back.size();
  }

  // Deletes point `i` and lets a new one take its place, in whatever slot.
  void Replace(size_t i) {
    if (!store_.Remove(points_[i].load(std::memory_order_acquire))) return;
    ++deleted_;
    points_[i].store(store_.Make(), std::memory_order_release);
  }

  void EndRound() {
    CheckAtRest();
    ++rounds_;
    pruning_ = !pruning_;
    done_ = !stress_.Running();
    for (size_t slot = 0; slot < committed_.size(); ++slot) committed_[slot] = false;
  }

  void CheckAtRest() {
    const SlotId slots = store_.slots.high_water();
    if (slots > committed_.size()) return stress_.Violation("slots do not come back");
    std::vector<std::vector<SlotId>> in(slots);
    size_t edges = 0;
    for (SlotId u = 0; u < slots; ++u) {
      const std::vector<SlotId> row = store_.Row(u);
      if (store_.slots.tag(u) != Tag::kLive && !row.empty()) Report("names others when dead", u);
      for (const SlotId v : row) {
        if (v == u) Report("names itself", u);
        if (store_.slots.tag(v) != Tag::kLive) Report("names a slot that is not live", u);
        if (std::count(row.begin(), row.end(), v) > 1) Report("names a slot twice", u);
        in[v].push_back(u);
      }
      edges += row.size();
    }
    for (SlotId v = 0; v < slots; ++v) {
      std::vector<SlotId> reverse = store_.neighbors.Reverse(v);
      std::sort(reverse.begin(), reverse.end());
      if (reverse != in[v]) Report("has a reverse list that is not its in-edges", v);
      const auto guards = std::count_if(in[v].begin(), in[v].end(),
                                        [&](SlotId u) { return store_.neighbors.Guards(u, v); });
      if (store_.neighbors.GuardCount(v) != static_cast<size_t>(guards))
        Report("has a wrong number of guards", v);
      if (pruning_ && committed_[v] && guards == 0) Report("has lost its last guard", v);
    }
    stress_.Check(edges == store_.neighbors.edges(), "edges are not counted right");
  }

  void Report(const char* what, SlotId slot) {
    stress_.Violation("at rest slot " + std::to_string(slot) + " " + what);
  }

  const size_t threads_;
  Stress stress_;
  StoreFixture store_{kDegree};
  std::array<std::atomic<SlotId>, kPoints> points_{};
  std::vector<std::atomic<bool>> committed_;  // By slot; of this round.
  // Written between rounds.
  bool pruning_ = false, done_ = false;
  uint64_t rounds_ = 0;
  std::atomic<uint64_t> linked_{0}, unlinked_{0}, pruned_{0}, restarts_{0}, refused_{0},
      deleted_{0}, taken_back_{0};
};

}  // namespace
}  // namespace shoal::testing

int main(int argc, char** argv) {
  shoal::testing::StressOptions options;
  if (!shoal::testing::ParseStressOptions(argc, argv, options)) return 2;
  return shoal::testing::EdgeStress(options).Run();
}
