// An index from its file: everything is checked before it is used, then the graph is put together
// in a few passes over all points, on all threads.
//
// The points get the slots behind the start point's in the order of the file, which is that of
// their old slots: so searches meet them in the same order, and a file that is loaded and saved
// again is the same file. Births are given in breadth-first order from the start: then every point
// that can be reached has an edge from an older one, and all guards are known at once.
#include <algorithm>
#include <cmath>
#include <new>
#include <string>

#include "base/check.h"
#include "base/number.h"
#include "base/parallel.h"
#include "graph/breadth_first.h"
#include "index_impl.h"
#include "persist/snapshot_file.h"

namespace shoal {
namespace {

constexpr size_t kGrain = 256;
// Points without a list that are linked one after the other, before several at a time: so that
// those find something to link to.
constexpr size_t kFirstRelinks = 64;

}  // namespace

class IndexImpl::Loader {
 public:
  Loader(IndexImpl& index, const SnapshotReader& reader, const BatchOptions& batch)
      : index_(index),
        reader_(reader),
        header_(reader.header()),
        batch_(batch),
        n_(static_cast<uint32_t>(header_.points)) {}

  Status Run() {
    if (header_.start_points == 0) return {};
    Status ok = MakeSlots();
    if (ok) ok = LoadStart();
    if (ok) ok = LoadBlocks();
    if (ok) ok = LinkEdges();
    if (ok) ok = LinkLost();
    if (ok && batch_.progress) batch_.progress(n_, n_);
    return ok;
  }

 private:
  static constexpr SlotId kStart = 0;
  static SlotId SlotOf(uint32_t point) { return point + 1; }

  using Section = SnapshotSection;
  using Block = std::vector<std::byte>;

  // Nobody else sees the index yet, so slots are live before there is anything in them.
  Status MakeSlots() {
    for (SlotId i = 0; i <= n_; ++i) {
      std::optional<OwnedSlot> slot = index_.slots_.Acquire();
      if (!slot) return OutOfMemory(index_.options_, "load");
      SHOAL_CHECK(slot->id() == i);
      if (i == kStart) {
        std::move(*slot).Freeze();
      } else {
        std::move(*slot).Publish();
      }
    }
    index_.graph_.set_start(kStart);
    return {};
  }

  Status LoadStart() {
    Block block;
    if (Status ok = reader_.ReadBlock(Section::kStart, 0, block); !ok) return ok;
    // Files that earlier builds wrote have the vector of a point there, which may have been deleted
    // since.
    index_.codec_.EncodeOrigin(index_.features_.Row(kStart));
    size_t at = header_.vector_bytes();
    if (Status ok = LoadList(Section::kStart, 0, block, at, kStart); !ok) return ok;
    if (Status ok = LoadEntries(block, at); !ok) return ok;
    index_.codec_.RaiseMaxNormSq(header_.max_norm_sq);
    return {};
  }

  Status LoadEntries(const Block& block, size_t at) {
    std::vector<EntryPoints::Saved> sets;
    size_t most = EntryPoints::kMaxCoarse, due = 1;
    for (; due > 0; --due) {
      const auto left = block.size() - at;
      constexpr size_t kBefore = 8;  // Their number and radius.
      const size_t n = left < kBefore ? 0 : NumberAt<uint32_t>(block, at);
      if (left < kBefore || n > most || left < kBefore + 4 * n)
        return reader_.Broken(Section::kStart, 0, at, "entry points",
                              "at most " + std::to_string(most) + ", within the section",
                              std::to_string(n) + " in " + std::to_string(left) + " bytes");
      auto& set = sets.emplace_back();
      set.radius = NumberAt<float>(block, at + 4);
      if (!(set.radius >= 0 && std::isfinite(set.radius)))
        return reader_.Broken(Section::kStart, 0, at + 4, "radius", "a number of at least 0",
                              Written(set.radius));
      at += kBefore;
      if (Status ok = TakePoints(Section::kStart, 0, block, at, n, kStart, set.slots); !ok)
        return ok;
      at += 4 * n;
      if (sets.size() == 1) due += n;
      most = EntryPoints::kMaxFine;
    }
    if (at != block.size())
      return reader_.Broken(Section::kStart, 0, at, "end of the entry points",
                            std::to_string(block.size()), std::to_string(at));
    index_.graph_.entries().Restore(sets);
    return {};
  }

  Status LoadBlocks() {
    FirstError first;
    const size_t blocks = header_.point_blocks();
    const auto load = [&](size_t begin, size_t end) {
      Block block;
      for (size_t b = begin; b < end && first.ok(); ++b) first.Note(LoadBlock(b, block));
    };
    const size_t done =
        ParallelFor(batch_.threads, blocks, 1, Progress(0, blocks), load, batch_.stop);
    if (Status ok = first.Take(); !ok) return ok;
    if (done < blocks) return Cancelled("load", header_.FirstPoint(done) / 2, n_);
    if (index_.neighbors_.edges() != header_.edges)
      return reader_.Broken(Section::kLists, 0, 0, "edges of all lists",
                            std::to_string(header_.edges) + " by the header",
                            std::to_string(index_.neighbors_.edges()));
    return {};
  }

  Status LoadBlock(size_t b, Block& block) {
    const auto first = static_cast<uint32_t>(header_.FirstPoint(b));
    const auto end = static_cast<uint32_t>(header_.FirstPoint(b + 1));
    if (Status ok = reader_.ReadBlock(Section::kVectors, b, block); !ok) return ok;
    for (uint32_t i = first; i < end; ++i) {
      const size_t at = (i - first) * header_.vector_bytes();
      if (Status ok = LoadVector(Section::kVectors, b, block, at, SlotOf(i)); !ok) return ok;
    }
    if (Status ok = reader_.ReadBlock(Section::kIds, b, block); !ok) return ok;
    for (uint32_t i = first; i < end; ++i)
      if (Status ok = LoadId(b, block, (i - first) * sizeof(ExternalId), SlotOf(i)); !ok) return ok;
    if (Status ok = reader_.ReadBlock(Section::kLists, b, block); !ok) return ok;
    size_t at = 0;
    for (uint32_t i = first; i < end; ++i)
      if (Status ok = LoadList(Section::kLists, b, block, at, SlotOf(i)); !ok) return ok;
    if (at == block.size()) return {};
    return reader_.Broken(Section::kLists, b, at, "end of the last list",
                          std::to_string(block.size()), std::to_string(at));
  }

  Status LoadVector(Section section, size_t b, const Block& block, size_t at, SlotId slot) {
    const VectorView vector(block.data() + at, header_.options.scalar_type, header_.options.dim);
    if (Status valid = index_.codec_.Validate(vector, "vector"); !valid)
      return reader_.Broken(section, b, at, Whose(slot), "a vector that may be inserted",
                            valid.error().message);
    index_.codec_.Encode(vector, index_.features_.Row(slot));
    return {};
  }

  Status LoadId(size_t b, const Block& block, size_t at, SlotId slot) {
    const auto id = NumberAt<ExternalId>(block, at);
    index_.slots_.set_external_id(slot, id);
    auto entry = index_.ids_.Lock(id);
    if (const auto other = entry.slot())
      return reader_.Broken(Section::kIds, b, at, Whose(slot), "an id of its own",
                            std::to_string(id) + ", as " + Whose(*other));
    if (!entry.Add(slot)) return OutOfMemory(index_.options_, "load");
    return {};
  }

  // The list at `at`, which is moved behind it.
  Status LoadList(Section section, size_t b, const Block& block, size_t& at, SlotId slot) {
    const size_t left = (block.size() - at) / 4;
    const size_t k = left == 0 ? 0 : NumberAt<uint32_t>(block, at);
    const size_t most = std::min<size_t>(left == 0 ? 0 : left - 1, header_.options.max_degree);
    if (left == 0 || k > most)
      return reader_.Broken(section, b, at, Whose(slot),
                            "a list of at most " + std::to_string(most) + " neighbours",
                            left == 0 ? "the end of the block" : std::to_string(k));
    std::vector<SlotId> ids;
    ids.reserve(k);
    if (Status ok = TakePoints(section, b, block, at + 4, k, slot, ids); !ok) return ok;
    index_.neighbors_.LoadRow(slot, ids);
    at += 4 + 4 * k;
    return {};
  }

  // k numbers of points, each once and not that of `slot`, as slots.
  Status TakePoints(Section section, size_t b, const Block& block, size_t at, size_t k, SlotId slot,
                    std::vector<SlotId>& out) {
    for (size_t i = 0; i < k; ++i) {
      const auto point = NumberAt<uint32_t>(block, at + 4 * i);
      if (point >= n_ || SlotOf(point) == slot)
        return reader_.Broken(section, b, at + 4 * i, Whose(slot),
                              "another point below " + std::to_string(n_), std::to_string(point));
      out.push_back(SlotOf(point));
    }
    SlotId sorted[kMaxDegree];
    std::copy(out.begin(), out.end(), sorted);
    std::sort(sorted, sorted + k);
    const SlotId* const twice = std::adjacent_find(sorted, sorted + k);
    if (twice == sorted + k) return {};
    return reader_.Broken(section, b, at, Whose(slot), "each point once",
                          std::to_string(*twice - 1) + " twice");
  }

  Status LinkEdges() {
    SlotId row[kMaxDegree];
    const NeighborLists& lists = index_.neighbors_;
    const auto neighbors_of = [&](SlotId slot, const auto& meet) {
      const size_t n = lists.Copy(slot, row);
      for (size_t i = 0; i < n; ++i) meet(row[i] - 1);
    };
    order_ = OrderBreadthFirst(
        n_, [&](const auto& meet) { neighbors_of(kStart, meet); },
        [&](uint32_t i, const auto& meet) { neighbors_of(SlotOf(i), meet); });
    for (const uint32_t i : order_.nodes) index_.neighbors_.forest().LoadRank(SlotOf(i));
    FirstError first;
    const auto link = [&](SlotId slot) {
      if (!index_.neighbors_.LoadEdges(slot, order_.reached))
        first.Note(OutOfMemory(index_.options_, "load"));
    };
    link(kStart);
    // In this order points with common neighbours come together: an eighth less time than in that
    // of the slots (SIFT, 1M).
    const auto link_all = [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end && first.ok(); ++i) link(SlotOf(order_.nodes[i]));
    };
    const size_t done =
        ParallelFor(batch_.threads, n_, kGrain, Progress(1, n_), link_all, batch_.stop);
    if (Status ok = first.Take(); !ok) return ok;
    if (done < n_) return Cancelled("load", (n_ + done) / 2, n_);
    return {};
  }

  // Points without a list, or that the start point does not lead to. A point that has no list may
  // be the only one.
  Status LinkLost() {
    std::vector<SlotId> listless;
    SlotId row[kMaxDegree];
    for (const uint32_t i : order_.nodes)
      if (index_.neighbors_.Copy(SlotOf(i), row) == 0) listless.push_back(SlotOf(i));
    const auto relink = [&](SlotId slot) {
      auto guard = index_.epochs_.Pin();
      Operation op(guard, index_.codec_);
      index_.graph_.Relink(slot, op);
      index_.graph_.EnsureParent(slot, op);
    };
    const size_t alone = std::min(kFirstRelinks, listless.size());
    for (size_t i = 0; i < alone; ++i) relink(listless[i]);
    ParallelFor(batch_.threads, listless.size() - alone, 1, {}, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) relink(listless[alone + i]);
    });
    // Older points first, so that each finds its guards guarded.
    for (size_t i = order_.reached; i < n_; ++i) {
      const SlotId slot = SlotOf(order_.nodes[i]);
      auto guard = index_.epochs_.Pin();
      Operation op(guard, index_.codec_);
      if (index_.graph_.EnsureParent(slot, op)) continue;
      index_.graph_.LinkInAnywhere(slot, op);
      if (index_.neighbors_.forest().ParentCount(slot) == 0)
        return OutOfMemory(index_.options_, "load");
    }
    return {};
  }

  // The half of the work that `half` (0, 1) is.
  std::function<void(size_t, size_t)> Progress(size_t half, size_t total) const {
    if (!batch_.progress) return {};
    return [this, half, total](size_t done, size_t) {
      batch_.progress((half * n_ + size_t{n_} * done / std::max<size_t>(1, total)) / 2, n_);
    };
  }

  std::string Whose(SlotId slot) const {
    return slot == kStart ? "start point" : "point " + std::to_string(slot - 1);
  }

  IndexImpl& index_;
  const SnapshotReader& reader_;
  const SnapshotHeader& header_;
  const BatchOptions& batch_;
  const uint32_t n_;
  BreadthFirstOrder order_;
};

Result<Index> IndexImpl::Load(const std::filesystem::path& path, const LoadOptions& options) {
  const Result<SnapshotReader> reader = SnapshotReader::Open(path);
  if (!reader) return tl::unexpected(reader.error());
  IndexOptions index_options = reader->header().options;
  index_options.memory_limit = options.memory_limit;
  index_options.repair = options.repair;
  index_options.repair_threads = options.repair_threads;
  index_options.repair_share = options.repair_share;
  Result<Index> index = Create(index_options);
  if (!index) return index;
  try {
    const Status loaded = Loader(Of(*index), *reader, options.batch).Run();
    if (!loaded) return tl::unexpected(loaded.error());
  } catch (const std::bad_alloc&) {
    return OutOfMemory(index_options, "load");
  }
  return index;
}

}  // namespace shoal
