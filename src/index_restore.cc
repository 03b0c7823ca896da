// An index from a database: each point in the slot that it has on disk, so that later commits name
// the same slots.
//
// As a snapshot is loaded (index_load.cc): rows and lists first, then ranks in breadth-first order,
// so that all parents of reached points are known. Points of the log are named by no list yet: they
// are offered to the points that theirs name, by distances alone. What still has no parent finds
// one as ever. Points that are dead on disk are deleted ones, whose repair is pending.
#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <unordered_set>

#include "base/check.h"
#include "base/parallel.h"
#include "base/round.h"
#include "db/disk_graph.h"
#include "graph/breadth_first.h"
#include "index_impl.h"

namespace shoal {
namespace {

constexpr size_t kSlotsAtOnce = 256;

}  // namespace

class IndexImpl::Restorer {
 public:
  Restorer(IndexImpl& index, const DiskGraph& disk, const BatchOptions& batch)
      : index_(index), disk_(disk), batch_(batch), n_(disk.slots()) {}

  Status Run() {
    if (disk_.record().start == kNoSlot) return {};
    Status ok = MakeSlots();
    if (index_.rows_.centred() != nullptr) CentreCode();
    if (ok) ok = EachSlot(0, [this](SlotId slot) { return RestorePoint(slot); });
    if (ok) ok = disk_.Damage();
    if (ok) ok = LinkEdges();
    if (ok) ok = MarkDead();
    if (ok) ok = LinkLogged();
    if (ok) ok = LinkLost();
    if (!ok) return ok;
    RestoreSeeds();
    index_.NoteThatAnIdLeaves();
    if (batch_.progress) batch_.progress(n_, n_);
    return {};
  }

 private:
  SlotId start() const { return disk_.record().start; }
  // A point, or a dead one.
  bool IsPoint(SlotId slot) const { return slot != start() && disk_.IsPresent(slot); }

  tl::unexpected<Error> Broken(SlotId slot, const std::string& what) const {
    return MakeError(ErrorCode::kCorrupt, "index \"" + disk_.record().name + "\": slot " +
                                              std::to_string(slot) + ": " + what);
  }

  // Slots that are not on disk become free when absent_ goes.
  Status MakeSlots() {
    for (SlotId i = 0; i < n_; ++i) {
      std::optional<OwnedSlot> slot = index_.slots_.Acquire();
      if (!slot) return OutOfMemory(index_.options_, "load");
      SHOAL_CHECK(slot->id() == i);
      if (i == start()) {
        std::move(*slot).Freeze();
      } else if (disk_.IsPresent(i)) {
        std::move(*slot).Publish();
      } else {
        absent_.push_back(std::move(*slot));
      }
    }
    index_.graph_.set_start(start());
    index_.rows_.RaiseMaxNormSq(disk_.record().max_norm_sq);
    return {};
  }

  // Codes are made anew, and so about the mean of what is there now: of up to 1,000 points.
  void CentreCode() {
    constexpr size_t kSample = 1000;
    const IndexOptions& options = index_.options_;
    const size_t bytes = VectorView(nullptr, options.scalar_type, options.dim).bytes();
    std::vector<std::byte> sample;
    size_t points = 0, seen = 0;
    for (SlotId i = 0; i < n_; ++i) points += IsPoint(i) ? 1 : 0;
    const size_t step = std::max<size_t>(1, DivideUp(points, kSample));
    for (SlotId i = 0; i < n_; ++i) {
      if (!IsPoint(i) || seen++ % step != 0) continue;
      const std::byte* const row = disk_.Row(i);
      if (index_.check_.Vector(VectorView(row, options.scalar_type, options.dim), "vector"))
        sample.insert(sample.end(), row, row + bytes);
    }
    if (!sample.empty())
      index_.BeginAtMeanOf(
          {sample.data(), options.scalar_type, sample.size() / bytes, options.dim});
  }

  // work(slot) for all slots on all threads; `third` of the progress.
  template <class Work>
  Status EachSlot(size_t third, const Work& work) {
    FirstError first;
    std::function<void(size_t, size_t)> progress;
    if (batch_.progress)
      progress = [&](size_t done, size_t) { batch_.progress((third * n_ + done) / 3, n_); };
    const size_t done = ParallelFor(
        batch_.threads, n_, kSlotsAtOnce, progress,
        [&](size_t begin, size_t end) {
          for (size_t i = begin; i < end && first.ok(); ++i)
            first.Note(work(static_cast<SlotId>(i)));
        },
        batch_.stop);
    if (Status ok = first.Take(); !ok) return ok;
    if (done < n_) return Cancelled("load", (third * n_ + done) / 3, n_);
    return {};
  }

  Status RestorePoint(SlotId slot) {
    if (!disk_.IsPresent(slot)) return {};
    const std::byte* const stored = disk_.Row(slot);
    if (slot == start()) {
      index_.rows_.EncodeOrigin(slot);
    } else {
      const IndexOptions& options = index_.options_;
      const VectorView vector(stored, options.scalar_type, options.dim);
      if (Status valid = index_.check_.Vector(vector, "vector"); !valid)
        return Broken(slot, valid.error().message);
      index_.rows_.Encode(vector, slot);
    }
    if (has_rows_ && std::memcmp(index_.Row(slot), stored, index_.codec().row_bytes()) != 0)
      return Broken(slot, "row: expected that of its vector, found another");
    if (slot != start()) {
      const ExternalId id = disk_.IdOf(slot);
      index_.slots_.set_external_id(slot, id);
      if (disk_.IsLive(slot)) {
        auto entry = index_.ids_.Lock(id);
        if (entry.slot())
          return Broken(slot, "id " + std::to_string(id) +
                                  ": expected its only live point, found " + "another in slot " +
                                  std::to_string(*entry.slot()));
        if (!entry.Add(slot)) return OutOfMemory(index_.options_, "load");
      }
    }
    return RestoreList(slot);
  }

  Status RestoreList(SlotId slot) {
    SlotId list[kMaxDegree];
    const size_t n = disk_.CopyList(slot, list);
    SlotId sorted[kMaxDegree];
    std::copy(list, list + n, sorted);
    std::sort(sorted, sorted + n);
    for (size_t i = 0; i < n; ++i)
      if (sorted[i] == slot || !IsPoint(sorted[i]) || (i > 0 && sorted[i] == sorted[i - 1]))
        return Broken(slot, "list: expected other points, each once, found slot " +
                                std::to_string(sorted[i]));
    index_.neighbors_.LoadRow(slot, {list, n});
    return {};
  }

  Status LinkEdges() {
    SlotId row[kMaxDegree];
    const auto neighbors_of = [&](SlotId slot, const auto& meet) {
      if (!disk_.IsPresent(slot)) return;
      const size_t n = index_.neighbors_.Copy(slot, row);
      for (size_t i = 0; i < n; ++i) meet(row[i]);
    };
    order_ = OrderBreadthFirst(
        n_, [&](const auto& meet) { neighbors_of(start(), meet); }, neighbors_of);
    for (const SlotId slot : order_.nodes)
      if (IsPoint(slot)) index_.neighbors_.forest().LoadRank(slot);
    return EachSlot(1, [&](SlotId slot) -> Status {
      if (!disk_.IsPresent(slot)) return {};
      if (index_.neighbors_.LoadEdges(slot, order_.reached)) return {};
      return OutOfMemory(index_.options_, "load");
    });
  }

  Status MarkDead() {
    for (SlotId slot = 0; slot < n_; ++slot) {
      if (!IsPoint(slot) || disk_.IsLive(slot)) continue;
      if (!index_.repairs_.Reserve()) return OutOfMemory(index_.options_, "load");
      SHOAL_CHECK(index_.neighbors_.MarkDeleted(index_.slots_, slot));
      index_.repairs_.Push(slot);
    }
    return {};
  }

  Status LinkLogged() {
    std::vector<SlotId> logged;
    Status read = disk_.EachLogged([&](const LoggedPoint& point) -> Status {
      logged.push_back(point.slot);
      return {};
    });
    if (!read) return read;
    const auto link = [&](size_t begin, size_t end) {
      SlotId row[kMaxDegree];
      for (size_t i = begin; i < end; ++i) {
        const SlotId p = logged[i];
        if (!disk_.IsLive(p)) continue;
        auto guard = index_.epochs_.Pin();
        Operation op(guard, index_.rows_.buffer_bytes());
        const size_t n = index_.neighbors_.Copy(p, row);
        for (size_t k = 0; k < n; ++k) index_.graph_.AddEdge(row[k], p, op);
      }
    };
    ParallelFor(batch_.threads, logged.size(), 64, {}, link, batch_.stop);
    if (batch_.stop.stop_requested()) return Cancelled("load", size_t{n_} / 3 * 2, n_);
    return {};
  }

  // In the order of ranks, so that its possible parents have parents.
  Status LinkLost() {
    SlotId row[kMaxDegree];
    for (const SlotId slot : order_.nodes) {
      if (!disk_.IsLive(slot)) continue;
      const bool listless = index_.neighbors_.Copy(slot, row) == 0;
      if (!listless && index_.neighbors_.forest().ParentCount(slot) > 0) continue;
      if (batch_.stop.stop_requested()) return Cancelled("load", size_t{n_} / 3 * 2, n_);
      auto guard = index_.epochs_.Pin();
      Operation op(guard, index_.rows_.buffer_bytes());
      if (listless) index_.graph_.Relink(slot, op);
      if (!FindParent(slot, guard, op)) return OutOfMemory(index_.options_, "load");
    }
    return {};
  }

  // Deleted points, whose repair is pending, may fill the rows of all possible parents. Their
  // repairs make room; background threads may have some of them under way.
  bool FindParent(SlotId slot, EpochRegistry::Guard& guard, Operation& op) {
    if (index_.graph_.EnsureParent(slot, op)) return true;
    const RepairQueue::Barrier pending(index_.repairs_);
    for (size_t failed = 0; failed < MaxFailures(pending.size());) {
      const auto repair = index_.repairs_.TakeFor(pending);
      const bool retry = repair && index_.RepairTaken(*repair, guard) == Graph::Repaired::kRetry;
      failed = retry ? failed + 1 : 0;
      if (index_.graph_.EnsureParent(slot, op)) return true;
      if (!repair) break;
    }
    index_.graph_.LinkInAnywhere(slot, op);
    return index_.neighbors_.forest().ParentCount(slot) > 0;
  }

  // Those that are live, each once. A coarse seed that is not leaves its place to a fine one.
  void RestoreSeeds() {
    std::vector<EntryPoints::Saved> sets;
    std::unordered_set<SlotId> met;
    const auto keep = [&](SlotId slot) { return disk_.IsLive(slot) && met.insert(slot).second; };
    for (const DiskSeedSet& set : disk_.seeds()) sets.push_back({set.slots, set.radius});
    if (sets.empty() || sets.size() != sets.front().slots.size() + 1 ||
        sets.front().slots.size() > EntryPoints::kMaxCoarse)
      return;
    std::vector<SlotId>& coarse = sets.front().slots;
    for (SlotId& slot : coarse)
      if (!keep(slot)) slot = kNoSlot;
    for (size_t i = 1; i < sets.size(); ++i) {
      std::erase_if(sets[i].slots, [&](SlotId slot) { return !keep(slot); });
      if (sets[i].slots.size() > EntryPoints::kMaxFine) sets[i].slots.resize(EntryPoints::kMaxFine);
    }
    for (size_t i = coarse.size(); i-- > 0;) {
      if (coarse[i] != kNoSlot) continue;
      std::vector<SlotId>& fine = sets[i + 1].slots;
      if (fine.empty()) {
        coarse.erase(coarse.begin() + static_cast<ptrdiff_t>(i));
        sets.erase(sets.begin() + static_cast<ptrdiff_t>(i) + 1);
      } else {
        coarse[i] = fine.back();
        fine.pop_back();
      }
    }
    index_.graph_.entries().Restore(sets);
  }

  IndexImpl& index_;
  const DiskGraph& disk_;
  const BatchOptions& batch_;
  const SlotId n_;
  const bool has_rows_ = index_.rows_.stored() == nullptr;  // Of its vectors, in memory.
  std::vector<OwnedSlot> absent_;
  BreadthFirstOrder order_;
};

Status IndexImpl::Restore(const DiskGraph& disk, const BatchOptions& batch) {
  try {
    return Restorer(*this, disk, batch).Run();
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "load");
  }
}

}  // namespace shoal
