// Stress of the edge protocol: rows, reverse lists and committed guards of very few, very busy
// slots that hang from a start point. Rounds of three kinds take turns; between rounds everything
// is at rest and is checked.
//
//   Churn    threads link, unlink, prune, rebear and delete random slots, with no regard for the
//            guards of others: rule G4 is broken on purpose, and everything is made anew behind it.
//   Prune    threads link, prune, rebear and adopt, so nothing may lose its last guard: every slot
//            that was seen with one is asked for one again and again.
//   Release  as Prune, and slots are deleted, as a repair does it: whom the dead slot alone guards
//            gets another guard, one by one or all that hang on it at once (G5), the slot is
//            released, unlinked, retired and reused (G4).
//
// At rest: rows lead to readable slots, without duplicates and loops; reverse lists are exactly the
// rows transposed; guards and edges are counted right; guards lead from older to younger (G1), and
// but for churn to whoever has one there is a way from the start along guards (the lemma); slots
// that are retired or available name nobody. --threads: in all.
#include <algorithm>
#include <barrier>
#include <string>

#include "store/reattachment.h"
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
    start_ = store_.MakeStart();
    for (size_t i = 0; i < kPoints; ++i) points_[i] = store_.Make();
    const auto at_rest = [this]() noexcept { EndRound(); };
    std::barrier barrier(static_cast<ptrdiff_t>(threads_), at_rest);
    for (size_t i = 0; i < threads_; ++i) {
      stress_.Spawn([&](Random& random) {
        while (!done_) {  // Written by the barrier's completion only.
          for (int step = 0; step < kSteps; ++step) Step(random);
          barrier.arrive_and_wait();
        }
      });
    }
    stress_.Join();
    return stress_.Finish(Figures());
  }

 private:
  // What a run must have done, each at least once.
  std::vector<Stress::Figure> Figures() const {
    return {{"rounds", rounds_},
            {"linked", linked_},
            {"unlinked", unlinked_},
            {"pruned", pruned_},
            {"prune restarts", restarts_},
            {"refused last guards", refused_},
            {"reparented", reparented_},
            {"refused reparented", refused_rebirths_},
            {"adopted guards", adopted_},
            {"deleted", deleted_},
            {"released", released_},
            {"reattachments", reattachments_},
            {"let go", reattachment_.reparented()},
            {"linked from outside", outside_},
            {"pushes taken back", taken_back_}};
  }

  enum class Round { kChurn, kPrune, kRelease };

  SlotId Pick(Random& random) {
    return points_[random.Below(kPoints)].load(std::memory_order_acquire);
  }
  // A row: of the start, too.
  SlotId PickRow(Random& random) { return random.OneIn(8) ? start_ : Pick(random); }

  void Step(Random& random) {
    // Before the picks: a slot that was picked outside may belong to the next tenant's owner.
    const EpochRegistry::Guard guard = store_.epochs.Pin();
    const SlotId u = PickRow(random), v = Pick(random);
    const uint64_t kind = random.Below(100);
    if (kind < 45) {
      Link(u, v);
    } else if (kind < 65) {
      Prune(u, random);
    } else if (kind < 73) {
      Rebear(v);
    } else if (kind < 81) {
      Adopt(v);
    } else if (round_ == Round::kChurn) {
      if (kind >= 92) {
        Replace(random.Below(kPoints));
      } else if (store_.neighbors.Unlink(u, v)) {
        ++unlinked_;
      }
    } else if (round_ == Round::kRelease && kind >= 94) {
      Delete(random.Below(kPoints), guard, random);
    }
    if (round_ != Round::kChurn) ExpectStillGuarded(v);
  }

  void ExpectStillGuarded(SlotId v) {
    const bool was = committed_[v].load(std::memory_order_acquire);
    const bool guarded = store_.neighbors.forest().ParentCount(v) > 0;
    // In this order: it may have been released.
    if (store_.slots.tag(v) != Tag::kLive) return;
    if (was) {
      stress_.Check(guarded, "a point lost its last guard");
    } else if (guarded) {
      committed_[v].store(true, std::memory_order_release);
    }
  }

  void Rebear(SlotId v) {
    std::vector<SlotId> refused;
    store_.neighbors.forest().MoveToEnd(v, refused) ? ++reparented_ : ++refused_rebirths_;
  }

  void Adopt(SlotId v) {
    std::vector<SlotId> in;
    const uint32_t before = store_.neighbors.forest().ParentCount(v);
    if (store_.neighbors.forest().AdoptParents(v, in) > before) ++adopted_;
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
    NeighborLists::RowUpdate update;
    update.version = lists.Version(u);
    std::vector<SlotId> wanted;
    const std::vector<SlotId> row = store_.Row(u);
    for (const SlotId v : row)
      if (random.OneIn(2)) wanted.push_back(v);
    const SlotId fresh = Pick(random);
    const bool pushed = fresh != u && std::find(row.begin(), row.end(), fresh) == row.end() &&
                        lists.AddBackLink(u, fresh) == NeighborLists::LinkResult::kLinked;
    if (pushed) wanted.push_back(fresh);
    if (random.OneIn(4)) std::this_thread::yield();
    update.wanted = wanted;
    if (!lists.UpdateRow(u, update)) {
      ++restarts_;
      if (pushed) lists.RemoveBackLink(u, fresh);
      return;
    }
    ++pruned_;
    const bool added = !update.added.empty();
    refused_ += row.size() + (added ? 1 : 0) - update.dropped.size() > wanted.size() ? 1 : 0;
    for (const SlotId v : update.dropped) lists.RemoveBackLink(u, v);
    taken_back_ += update.dropped.size();
  }

  // Deletes point `i` and lets a new one take its place, in whatever slot.
  void Replace(size_t i) {
    if (!store_.Remove(points_[i].load(std::memory_order_acquire))) return;
    ++deleted_;
    NewPoint(i);
  }
  void NewPoint(size_t i) {
    const SlotId fresh = store_.Make();
    committed_[fresh].store(false, std::memory_order_release);
    points_[i].store(fresh, std::memory_order_release);
  }

  // Likewise, so that nobody else loses the last guard. What cannot be released now waits.
  void Delete(size_t i, const EpochRegistry::Guard& guard, Random& random) {
    if (!store_.Mark(points_[i].load(std::memory_order_acquire))) return;
    ++deleted_;
    const SlotId dead = points_[i].load(std::memory_order_acquire);
    NewPoint(i);
    std::vector<SlotId> waiting;
    {
      const std::lock_guard lock(waiting_mutex_);
      waiting.swap(waiting_);
    }
    waiting.push_back(dead);
    std::erase_if(waiting, [&](SlotId slot) { return Release(slot, guard, random); });
    const std::lock_guard lock(waiting_mutex_);
    waiting_.insert(waiting_.end(), waiting.begin(), waiting.end());
  }

  bool Release(SlotId dead, const EpochRegistry::Guard& guard, Random& random) {
    if (!(random.OneIn(2) ? Settle(dead, random) : ReleaseOneByOne(dead, random))) return false;
    store_.RepairWithReplacements(dead);
    stress_.Check(store_.slots.Retire(dead, guard), "a repaired slot does not retire");
    ++released_;
    return true;
  }

  bool Settle(SlotId dead, Random& random) {
    NeighborLists& lists = store_.neighbors;
    const auto link = [&](SlotId v) {
      for (int i = 0; i < 32; ++i) {
        const SlotId u = i == 0 ? start_ : Pick(random);
        if (u != v) Link(u, v);
        if (lists.forest().CanBeParent(u, v) && lists.forest().IsParent(u, v))
          return ++outside_, true;
      }
      return store_.slots.tag(v) != Tag::kLive;
    };
    return reattachment_.Run(dead, link) && ++reattachments_ > 0;
  }

  bool ReleaseOneByOne(SlotId dead, Random& random) {
    NeighborLists& lists = store_.neighbors;
    std::vector<SlotId> refused, working;
    for (int tries = 0; tries < 3; ++tries) {
      refused.clear();
      if (lists.forest().MoveToEnd(dead, refused)) return true;
      for (const SlotId w : refused) {
        if (store_.slots.tag(w) == Tag::kLive) {
          working.clear();
          lists.forest().MoveToEnd(w, working);
          if (lists.forest().AdoptParents(w, working) > 1) continue;
        }
        for (int i = 0; i < 8 && lists.forest().ParentCount(w) < 2; ++i) {
          const SlotId u = i == 0 ? start_ : Pick(random);
          if (u != w) lists.Link(u, w);
        }
      }
    }
    return false;
  }

  void EndRound() {
    CheckAtRest();
    ++rounds_;
    // Prune, then release, on what a churn has left behind and was made anew.
    if (round_ == Round::kChurn) BeginAnew();
    round_ = round_ == Round::kChurn   ? Round::kPrune
             : round_ == Round::kPrune ? Round::kRelease
                                       : Round::kChurn;
    // However slow the machine: a round of each kind.
    done_ = stress_.Failed() || (!stress_.Running(Figures()) && rounds_ >= 3);
    for (size_t slot = 0; slot < committed_.size(); ++slot) committed_[slot] = false;
  }

  // Everything goes, and leaves nothing behind.
  void BeginAnew() {
    const EpochRegistry::Guard guard = store_.epochs.Pin();
    for (const SlotId slot : waiting_) {
      store_.Repair(slot);
      stress_.Check(store_.slots.Retire(slot, guard), "a repaired slot does not retire");
    }
    waiting_.clear();
    for (size_t i = 0; i < kPoints; ++i) Replace(i);
    stress_.Check(store_.neighbors.edges() == 0, "edges are left when all slots are gone");
    for (size_t i = 0; i < kDegree; ++i) Link(start_, points_[i]);
  }

  void CheckAtRest() {
    const NeighborLists& lists = store_.neighbors;
    const SlotId slots = store_.slots.high_water();
    if (slots > committed_.size()) return stress_.Violation("slots do not come back");
    std::vector<std::vector<SlotId>> in(slots);
    size_t edges = 0;
    for (SlotId u = 0; u < slots; ++u) {
      const std::vector<SlotId> row = store_.Row(u);
      if (!IsReadable(store_.slots.tag(u)) && !row.empty()) Report("names others when dead", u);
      for (const SlotId v : row) {
        if (v == u) Report("names itself", u);
        if (!IsReadable(store_.slots.tag(v))) Report("names a slot that is not readable", u);
        if (std::count(row.begin(), row.end(), v) > 1) Report("names a slot twice", u);
        if (lists.forest().IsParent(u, v) && !lists.forest().Precedes(u, v))
          Report("guards an older slot", u);
        // Somebody pinned may be left by who waits: then whom it guards hangs on that one, too.
        if (round_ != Round::kChurn && lists.forest().IsParent(u, v) &&
            !lists.forest().CanBeParent(u, v) && !lists.forest().IsSuspended(u))
          Report("guards a slot that it may not", u);
        if (lists.forest().IsSuspended(u) && waiting_.empty()) Report("is pinned for ever", u);
        if (lists.forest().IsSuspended(u) && lists.forest().IsParent(u, v) &&
            !lists.forest().IsSuspended(v))
          Report("is pinned and guards one that is not", u);
        in[v].push_back(u);
      }
      edges += row.size();
    }
    for (SlotId v = 0; v < slots; ++v) {
      std::vector<SlotId> reverse = lists.Reverse(v);
      std::sort(reverse.begin(), reverse.end());
      if (reverse != in[v]) Report("has a reverse list that is not its in-edges", v);
      const auto guards = std::count_if(in[v].begin(), in[v].end(),
                                        [&](SlotId u) { return lists.forest().IsParent(u, v); });
      if (lists.forest().ParentCount(v) != static_cast<size_t>(guards))
        Report("has a wrong number of guards", v);
      if (round_ != Round::kChurn && committed_[v] && guards == 0 &&
          store_.slots.tag(v) == Tag::kLive)
        Report("has lost its last guard", v);
    }
    stress_.Check(edges == lists.edges(), "edges are not counted right");
    if (round_ != Round::kChurn) CheckGuardsLeadToAll(slots);
  }

  // The lemma: whoever has a guard can be reached along guards.
  void CheckGuardsLeadToAll(SlotId slots) {
    std::vector<bool> reached(slots, false);
    std::vector<SlotId> queue{start_};
    for (size_t next = 0; next < queue.size(); ++next) {
      for (const SlotId v : store_.Row(queue[next])) {
        if (reached[v] || !store_.neighbors.forest().IsParent(queue[next], v)) continue;
        reached[v] = true;
        queue.push_back(v);
      }
    }
    for (SlotId v = 0; v < slots; ++v)
      if (store_.neighbors.forest().ParentCount(v) > 0 && !reached[v])
        Report("is guarded from nowhere", v);
  }

  void Report(const char* what, SlotId slot) {
    stress_.Violation("at rest slot " + std::to_string(slot) + " " + what);
  }

  const size_t threads_;
  Stress stress_;
  StoreFixture store_{kDegree};
  std::array<std::atomic<SlotId>, kPoints> points_{};
  std::vector<std::atomic<bool>> committed_;  // By slot; of this round.
  SubtreeReattachment reattachment_{store_.neighbors, store_.slots};
  std::mutex waiting_mutex_;
  std::vector<SlotId> waiting_;  // Deleted, not yet released. Guarded by waiting_mutex_.
  // Written between rounds.
  SlotId start_ = kNoSlot;
  Round round_ = Round::kChurn;
  bool done_ = false;
  uint64_t rounds_ = 0;
  std::atomic<uint64_t> linked_{0}, unlinked_{0}, pruned_{0}, restarts_{0}, refused_{0},
      reparented_{0}, refused_rebirths_{0}, adopted_{0}, deleted_{0}, released_{0}, taken_back_{0},
      reattachments_{0}, outside_{0};
};

}  // namespace
}  // namespace shoal::testing

int main(int argc, char** argv) {
  shoal::testing::StressOptions options;
  if (!shoal::testing::ParseStressOptions(argc, argv, options)) return 2;
  return shoal::testing::EdgeStress(options).Run();
}
