// Stress of the edge protocol and the parent rules: rows, reverse lists and parents of very few,
// very busy slots and a start point. Rounds of three kinds take turns; between rounds everything is
// at rest and is checked.
//
//   Churn    Threads link, unlink, prune, move to the end and delete random slots, with no regard
//   for
//            parents: rule G4 is broken on purpose, and everything is made anew behind it.
//   Prune    Threads link, prune, move to the end and adopt. So nothing may lose its last parent:
//            every slot that was seen with one is looked at again and again.
//   Delete   As Prune, and slots are deleted, as a repair does it: children that have no other
//   parent
//            get one, one by one or by a subtree re-attachment (G5); the slot is made childless,
//            unlinked, retired and reused (G4).
//
// At rest: rows lead to readable slots, without duplicates and loops. Reverse lists are exactly the
// rows transposed. Parents and edges are counted right. Parent edges lead to higher ranks (G1).
// Except after churn, parent edges lead from the start to every slot that has a parent (the lemma).
// Slots that are retired or available name no slot. --threads: in all.
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
            {"refused last parents", refused_},
            {"moved to the end", moved_},
            {"refused moves", refused_moves_},
            {"adopted parents", adopted_},
            {"deleted", deleted_},
            {"made childless", childless_},
            {"reattachments", reattachments_},
            {"resumed", reattachment_.reparented()},
            {"linked from outside", outside_},
            {"back-links removed", removed_}};
  }

  enum class Round { kChurn, kPrune, kDelete };

  SlotId Pick(Random& random) {
    return points_[random.Below(kPoints)].load(std::memory_order_acquire);
  }
  // A row: of the start, too.
  SlotId PickRow(Random& random) { return random.OneIn(8) ? start_ : Pick(random); }

  void Step(Random& random) {
    // Before the picks: a slot that was picked outside may have another owner by now.
    const EpochRegistry::Guard guard = store_.epochs.Pin();
    const SlotId u = PickRow(random), v = Pick(random);
    const uint64_t kind = random.Below(100);
    if (kind < 45) {
      Link(u, v);
    } else if (kind < 65) {
      Prune(u, random);
    } else if (kind < 73) {
      MoveToEnd(v);
    } else if (kind < 81) {
      Adopt(v);
    } else if (round_ == Round::kChurn) {
      if (kind >= 92) {
        Replace(random.Below(kPoints));
      } else if (store_.neighbors.Unlink(u, v)) {
        ++unlinked_;
      }
    } else if (round_ == Round::kDelete && kind >= 94) {
      Delete(random.Below(kPoints), guard, random);
    }
    if (round_ != Round::kChurn) ExpectStillHasParent(v);
  }

  void ExpectStillHasParent(SlotId v) {
    const bool was = committed_[v].load(std::memory_order_acquire);
    const bool has_parent = store_.neighbors.forest().ParentCount(v) > 0;
    // In this order: it may have become childless.
    if (store_.slots.tag(v) != Tag::kLive) return;
    if (was) {
      stress_.Check(has_parent, "a point lost its last parent");
    } else if (has_parent) {
      committed_[v].store(true, std::memory_order_release);
    }
  }

  void MoveToEnd(SlotId v) {
    std::vector<SlotId> refused;
    store_.neighbors.forest().MoveToEnd(v, refused) ? ++moved_ : ++refused_moves_;
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
    const bool noted = fresh != u && std::find(row.begin(), row.end(), fresh) == row.end() &&
                       lists.AddBackLink(u, fresh) == NeighborLists::LinkResult::kLinked;
    if (noted) wanted.push_back(fresh);
    if (random.OneIn(4)) std::this_thread::yield();
    update.wanted = wanted;
    if (!lists.UpdateRow(u, update)) {
      ++restarts_;
      if (noted) lists.RemoveBackLink(u, fresh);
      return;
    }
    ++pruned_;
    const bool added = !update.added.empty();
    refused_ += row.size() + (added ? 1 : 0) - update.dropped.size() > wanted.size() ? 1 : 0;
    for (const SlotId v : update.dropped) lists.RemoveBackLink(u, v);
    removed_ += update.dropped.size();
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

  // Likewise, so that no other point loses its last parent. What cannot be made childless now
  // waits.
  void Delete(size_t i, const EpochRegistry::Guard& guard, Random& random) {
    if (!store_.Mark(points_[i].load(std::memory_order_acquire))) return;
    ++deleted_;
    const SlotId deleted = points_[i].load(std::memory_order_acquire);
    NewPoint(i);
    std::vector<SlotId> waiting;
    {
      const std::lock_guard lock(waiting_mutex_);
      waiting.swap(waiting_);
    }
    waiting.push_back(deleted);
    std::erase_if(waiting, [&](SlotId slot) { return Repair(slot, guard, random); });
    const std::lock_guard lock(waiting_mutex_);
    waiting_.insert(waiting_.end(), waiting.begin(), waiting.end());
  }

  bool Repair(SlotId deleted, const EpochRegistry::Guard& guard, Random& random) {
    if (!(random.OneIn(2) ? Reattach(deleted, random) : MakeChildless(deleted, random)))
      return false;
    store_.RepairWithReplacements(deleted);
    stress_.Check(store_.slots.Retire(deleted, guard), "a repaired slot does not retire");
    ++childless_;
    return true;
  }

  bool Reattach(SlotId deleted, Random& random) {
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
    return reattachment_.Run(deleted, link) && ++reattachments_ > 0;
  }

  bool MakeChildless(SlotId deleted, Random& random) {
    NeighborLists& lists = store_.neighbors;
    std::vector<SlotId> refused, working;
    for (int tries = 0; tries < 3; ++tries) {
      refused.clear();
      if (lists.forest().MoveToEnd(deleted, refused)) return true;
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
    // Prune, then Delete, on what was made anew after a churn.
    if (round_ == Round::kChurn) BeginAnew();
    round_ = round_ == Round::kChurn   ? Round::kPrune
             : round_ == Round::kPrune ? Round::kDelete
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
      if (!IsReadable(store_.slots.tag(u)) && !row.empty())
        Report("names others when it is not readable", u);
      for (const SlotId v : row) {
        if (v == u) Report("names itself", u);
        if (!IsReadable(store_.slots.tag(v))) Report("names a slot that is not readable", u);
        if (std::count(row.begin(), row.end(), v) > 1) Report("names a slot twice", u);
        if (lists.forest().IsParent(u, v) && !lists.forest().Precedes(u, v))
          Report("is a parent of a slot of lower rank", u);
        // Slots that wait may leave a slot suspended, which then is still a parent.
        if (round_ != Round::kChurn && lists.forest().IsParent(u, v) &&
            !lists.forest().CanBeParent(u, v) && !lists.forest().IsSuspended(u))
          Report("is a parent of a slot and must not be", u);
        if (lists.forest().IsSuspended(u) && waiting_.empty()) Report("stays suspended", u);
        if (lists.forest().IsSuspended(u) && lists.forest().IsParent(u, v) &&
            !lists.forest().IsSuspended(v))
          Report("is suspended and has a child that is not", u);
        in[v].push_back(u);
      }
      edges += row.size();
    }
    for (SlotId v = 0; v < slots; ++v) {
      std::vector<SlotId> reverse = lists.Reverse(v);
      std::sort(reverse.begin(), reverse.end());
      if (reverse != in[v]) Report("has a reverse list that is not its in-edges", v);
      const auto parents = std::count_if(in[v].begin(), in[v].end(),
                                         [&](SlotId u) { return lists.forest().IsParent(u, v); });
      if (lists.forest().ParentCount(v) != static_cast<size_t>(parents))
        Report("has a wrong count of parents", v);
      if (round_ != Round::kChurn && committed_[v] && parents == 0 &&
          store_.slots.tag(v) == Tag::kLive)
        Report("has lost its last parent", v);
    }
    stress_.Check(edges == lists.edges(), "edges are not counted right");
    if (round_ != Round::kChurn) CheckParentsLeadToAll(slots);
  }

  // The lemma: a slot that has a parent can be reached along parent edges.
  void CheckParentsLeadToAll(SlotId slots) {
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
        Report("has a parent and is not reached", v);
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
  std::vector<SlotId> waiting_;  // Deleted, not yet childless. Guarded by waiting_mutex_.
  // Written between rounds.
  SlotId start_ = kNoSlot;
  Round round_ = Round::kChurn;
  bool done_ = false;
  uint64_t rounds_ = 0;
  std::atomic<uint64_t> linked_{0}, unlinked_{0}, pruned_{0}, restarts_{0}, refused_{0}, moved_{0},
      refused_moves_{0}, adopted_{0}, deleted_{0}, childless_{0}, removed_{0}, reattachments_{0},
      outside_{0};
};

}  // namespace
}  // namespace shoal::testing

int main(int argc, char** argv) {
  shoal::testing::StressOptions options;
  if (!shoal::testing::ParseStressOptions(argc, argv, options)) return 2;
  return shoal::testing::EdgeStress(options).Run();
}
