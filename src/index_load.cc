// An index from its file: everything is checked before it is used, then the graph is put together
// in a few passes over all points, on all threads.
//
// The points get the slots behind the start point's in the order of the file, which is that of
// their old slots. So searches meet them in the same order, and a file that is loaded and saved
// again is the same file. Where a feature store has the vectors, each gets its old slot: that is
// what the store knows it by. Ranks are given in breadth-first order from the start point. So every
// point that can be reached has an edge from one of lower rank, and all parents are known.
#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>
#include <string>

#include "base/check.h"
#include "base/parallel.h"
#include "codec/full_codec.h"
#include "graph/breadth_first.h"
#include "index_impl.h"
#include "persist/snapshot_codecs.h"
#include "persist/snapshot_labels.h"
#include "persist/snapshot_seeds.h"

namespace shoal {
namespace {

constexpr size_t kGrain = 256;
// Points without a list that are linked one after another before the others are linked on all
// threads, so that those find points to link to.
constexpr size_t kFirstRelinks = 64;

}  // namespace

class IndexImpl::Loader {
 public:
  Loader(IndexImpl& index, const SnapshotReader& reader, const LoadOptions& options)
      : index_(index),
        reader_(reader),
        header_(reader.header()),
        batch_(options.batch),
        stored_check_(options.stored_vectors),
        n_(static_cast<uint32_t>(header_.points)) {}

  Status Run() {
    if (header_.start_points == 0) return {};
    Status ok = AssignSlots();
    if (ok) ok = MakeSlots();
    if (ok) ok = LoadSeeds();
    if (ok) ok = LoadBlocks();
    if (ok) ok = ReopenStore();
    if (ok) ok = LoadLabels();
    if (ok) ok = LinkEdges();
    if (ok) ok = LinkLost();
    if (ok && batch_.progress) batch_.progress(n_, n_);
    return ok;
  }

 private:
  // Of an entry of the file: the last is the start point.
  SlotId SlotOf(uint32_t entry) const { return slots_[entry]; }
  SlotId start() const { return slots_[n_]; }

  using Section = SnapshotSection;
  using Block = std::vector<std::byte>;

  Status AssignSlots() {
    slots_.resize(size_t{n_} + 1);
    if (header_.has_slots == 0) {
      slots_[n_] = 0;
      std::iota(slots_.begin(), slots_.begin() + n_, 1);
    } else if (Status ok = ReadSlots(); !ok) {
      return ok;
    }
    entries_.assign(size_t{*std::max_element(slots_.begin(), slots_.end())} + 1, kNoSlot);
    for (uint32_t i = 0; i <= n_; ++i) entries_[slots_[i]] = i;
    return {};
  }

  // Those of the points are ascending, and the start point's is none of them.
  Status ReadSlots() {
    Block block;
    for (size_t b = 0; b < header_.entry_blocks(); ++b) {
      if (Status ok = reader_.ReadBlock(Section::kSlots, b, block); !ok) return ok;
      for (auto i = static_cast<uint32_t>(header_.FirstEntry(b)); i < header_.FirstEntry(b + 1);
           ++i) {
        const size_t at = sizeof(SlotId) * (i - header_.FirstEntry(b));
        const SlotId slot = slots_[i] = NumberAt<SlotId>(block, at);
        const bool is_new = i == n_ ? !std::binary_search(slots_.begin(), slots_.end() - 1, slot)
                                    : i == 0 || slots_[i - 1] < slot;
        if (slot < kMaxSlots && is_new) continue;
        return reader_.Broken(Section::kSlots, b, at, "entry " + std::to_string(i),
                              "a slot of its own, in ascending order", std::to_string(slot));
      }
    }
    return {};
  }

  // No other thread sees the index yet, so slots are live before they are written. Those of no
  // entry become free when absent_ goes.
  Status MakeSlots() {
    for (SlotId i = 0; i < entries_.size(); ++i) {
      std::optional<OwnedSlot> slot = index_.slots_.Acquire();
      if (!slot) return OutOfMemory(index_.options_, "load");
      SHOAL_CHECK(slot->id() == i);
      if (i == start()) {
        std::move(*slot).Freeze();
      } else if (entries_[i] != kNoSlot) {
        std::move(*slot).Publish();
      } else {
        absent_.push_back(std::move(*slot));
      }
    }
    index_.graph_.set_start(start());
    return {};
  }

  Status LoadSeeds() {
    const Result<SnapshotSeeds> seeds = ReadSeeds(reader_);
    if (!seeds) return tl::unexpected(seeds.error());
    std::vector<EntryPoints::Saved> sets;
    for (const SeedSet& set : seeds->sets) {
      auto& [slots, radius] = sets.emplace_back();
      for (const uint32_t point : set.points) slots.push_back(SlotOf(point));
      radius = set.radius;
    }
    index_.graph_.entries().Restore(sets);
    return {};
  }

  Status LoadBlocks() {
    FirstError first;
    const size_t blocks = header_.entry_blocks();
    const auto load = [&](size_t begin, size_t end) {
      Block block;
      for (size_t b = begin; b < end && first.ok(); ++b) first.Note(LoadBlock(b, block));
    };
    const size_t done =
        ParallelFor(batch_.threads, blocks, 1, Progress(0, blocks), load, batch_.stop);
    if (Status ok = first.Take(); !ok) return ok;
    if (done < blocks) return Cancelled("load", header_.FirstEntry(done) / 2, n_);
    if (index_.neighbors_.edges() != header_.edges)
      return reader_.Broken(Section::kLists, 0, 0, "edges of all lists",
                            std::to_string(header_.edges) + " by the header",
                            std::to_string(index_.neighbors_.edges()));
    return {};
  }

  Status LoadBlock(size_t b, Block& block) {
    const auto first = static_cast<uint32_t>(header_.FirstEntry(b));
    const auto end = static_cast<uint32_t>(header_.FirstEntry(b + 1));
    constexpr Section kRows[] = {Section::kRows, Section::kRerankRows};
    for (size_t part = 0; part < index_.rows_.parts().size(); ++part) {
      if (Status ok = reader_.ReadBlock(kRows[part], b, block); !ok) return ok;
      const size_t row_bytes = header_.RecordBytes(kRows[part]);
      for (uint32_t i = first; i < end; ++i)
        if (Status ok = LoadRow(kRows[part], b, block, size_t{i - first} * row_bytes, SlotOf(i));
            !ok)
          return ok;
    }
    if (Status ok = reader_.ReadBlock(Section::kIds, b, block); !ok) return ok;
    for (uint32_t i = first; i < std::min(end, n_); ++i)
      if (Status ok = LoadId(b, block, size_t{i - first} * sizeof(ExternalId), SlotOf(i)); !ok)
        return ok;
    if (Status ok = reader_.ReadBlock(Section::kLists, b, block); !ok) return ok;
    const size_t bytes = header_.RecordBytes(Section::kLists);
    for (uint32_t i = first; i < end; ++i)
      if (Status ok = LoadList(b, block, size_t{i - first} * bytes, SlotOf(i)); !ok) return ok;
    return {};
  }

  Status ReopenStore() {
    StoredVectors* const stored = index_.rows_.stored();
    if (stored == nullptr) return {};
    if (Status grown = stored->Grow(static_cast<uint32_t>(entries_.size())); !grown) return grown;
    if (stored_check_ == LoadOptions::StoredVectors::kTrust) return {};
    if (Status ok =
            index_.CheckStoredVectors(std::span(slots_).first(n_), reader_.file().path(), batch_);
        !ok)
      return ok;
    index_.rows_.ReadInPlace();
    return {};
  }

  Status LoadLabels() {
    if (header_.label_pages == 0) return {};
    Block block;
    if (Status ok = reader_.ReadBlock(Section::kLabels, 0, block); !ok) return ok;
    const SnapshotLabels labels(block.data(), block.size(), n_);
    if (Status ok = CheckLabels(reader_, labels, block); !ok) return ok;
    for (uint32_t i = 0; i < n_; ++i)
      if (!index_.slots_.labels().Set(SlotOf(i), labels.Of(i)))
        return OutOfMemory(index_.options_, "load");
    return {};
  }

  // A row is taken as it is, if it is one that its codec writes, and, where it is the vector
  // itself, of a vector that may be inserted.
  Status LoadRow(Section section, size_t b, const Block& block, size_t at, SlotId slot) {
    const bool is_traversal = section == Section::kRows;
    const auto& rows = is_traversal ? index_.rows_.parts().front() : index_.rows_.parts().back();
    const std::byte* const found = block.data() + at;
    std::byte* const row = rows->features.Row(slot);
    bool same = false;
    if (slot == start()) {
      rows->codec->EncodeOrigin(row);
      same = std::memcmp(row, found, rows->codec->row_bytes()) == 0;
    } else {
      const IndexOptions& options = header_.options;
      if ((is_traversal ? options.code : options.rerank_code) == Code::kFull) {
        const VectorView vector(found, options.scalar_type, options.dim);
        if (Status valid = index_.check_.Vector(vector, "vector"); !valid)
          return reader_.Broken(section, b, at, NameOf(slot), "a vector that may be inserted",
                                valid.error().message);
      }
      std::memcpy(row, found, rows->codec->row_bytes());
      same = rows->codec->Accept(row);
    }
    if (same) return {};
    return reader_.Broken(section, b, at, NameOf(slot), "the row of its vector", "another");
  }

  Status LoadId(size_t b, const Block& block, size_t at, SlotId slot) {
    const auto id = NumberAt<ExternalId>(block, at);
    index_.slots_.set_external_id(slot, id);
    auto entry = index_.ids_.Lock(id);
    if (const auto other = entry.slot())
      return reader_.Broken(Section::kIds, b, at, NameOf(slot), "an id of its own",
                            std::to_string(id) + ", as " + NameOf(*other));
    if (!entry.Add(slot)) return OutOfMemory(index_.options_, "load");
    return {};
  }

  Status LoadList(size_t b, const Block& block, size_t at, SlotId slot) {
    size_t k = 0;
    const size_t most = header_.options.max_degree;
    const auto word = [&](size_t i) { return NumberAt<uint32_t>(block, at + 4 * i); };
    while (k < most && word(k) != kNoSlot) ++k;
    for (size_t i = k; i < most; ++i)
      if (word(i) != kNoSlot)
        return reader_.Broken(Section::kLists, b, at + 4 * i, NameOf(slot),
                              "nothing behind the end of its list", std::to_string(word(i)));
    std::vector<SlotId> ids;
    ids.reserve(k);
    if (Status ok = TakePoints(Section::kLists, b, block, at, k, slot, ids); !ok) return ok;
    index_.neighbors_.LoadRow(slot, ids);
    return {};
  }

  // The slots of k positions, each once and not that of `slot`.
  Status TakePoints(Section section, size_t b, const Block& block, size_t at, size_t k, SlotId slot,
                    std::vector<SlotId>& out) {
    for (size_t i = 0; i < k; ++i) {
      const auto point = NumberAt<uint32_t>(block, at + 4 * i);
      if (point >= n_ || SlotOf(point) == slot)
        return reader_.Broken(section, b, at + 4 * i, NameOf(slot),
                              "another point below " + std::to_string(n_), std::to_string(point));
      out.push_back(SlotOf(point));
    }
    SlotId sorted[kMaxDegree];
    std::copy(out.begin(), out.end(), sorted);
    std::sort(sorted, sorted + k);
    const SlotId* const twice = std::adjacent_find(sorted, sorted + k);
    if (twice == sorted + k) return {};
    return reader_.Broken(section, b, at, NameOf(slot), "each point once",
                          std::to_string(entries_[*twice]) + " twice");
  }

  Status LinkEdges() {
    SlotId row[kMaxDegree];
    const NeighborLists& lists = index_.neighbors_;
    const auto neighbors_of = [&](SlotId slot, const auto& meet) {
      const size_t n = lists.Copy(slot, row);
      for (size_t i = 0; i < n; ++i) meet(entries_[row[i]]);
    };
    order_ = OrderBreadthFirst(
        n_, [&](const auto& meet) { neighbors_of(start(), meet); },
        [&](uint32_t i, const auto& meet) { neighbors_of(SlotOf(i), meet); });
    for (const uint32_t i : order_.nodes) index_.neighbors_.forest().LoadRank(SlotOf(i));
    FirstError first;
    const auto link = [&](SlotId slot) {
      if (!index_.neighbors_.LoadEdges(slot, order_.reached))
        first.Note(OutOfMemory(index_.options_, "load"));
    };
    link(start());
    // In this order points with common neighbours come together. It takes an eighth less time than
    // the order of the slots (SIFT, 1M).
    const auto link_all = [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end && first.ok(); ++i) link(SlotOf(order_.nodes[i]));
    };
    const size_t done =
        ParallelFor(batch_.threads, n_, kGrain, Progress(1, n_), link_all, batch_.stop);
    if (Status ok = first.Take(); !ok) return ok;
    if (done < n_) return Cancelled("load", (n_ + done) / 2, n_);
    return {};
  }

  // Links points that have no list or cannot be reached.
  Status LinkLost() {
    std::vector<SlotId> listless;
    SlotId row[kMaxDegree];
    for (const uint32_t i : order_.nodes)
      if (index_.neighbors_.Copy(SlotOf(i), row) == 0) listless.push_back(SlotOf(i));
    const auto relink = [&](SlotId slot) {
      auto guard = index_.epochs_.Pin();
      Operation op(guard, index_.rows_.buffer_bytes());
      index_.graph_.Relink(slot, op);
      index_.graph_.EnsureParent(slot, op);
    };
    const size_t alone = std::min(kFirstRelinks, listless.size());
    for (size_t i = 0; i < alone && !batch_.stop.stop_requested(); ++i) relink(listless[i]);
    const auto relink_all = [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) relink(listless[alone + i]);
    };
    ParallelFor(batch_.threads, listless.size() - alone, 1, {}, relink_all, batch_.stop);
    // In the order of ranks, so that its possible parents have parents.
    for (size_t i = order_.reached; i < n_; ++i) {
      if (batch_.stop.stop_requested()) break;
      const SlotId slot = SlotOf(order_.nodes[i]);
      auto guard = index_.epochs_.Pin();
      Operation op(guard, index_.rows_.buffer_bytes());
      if (index_.graph_.EnsureParent(slot, op)) continue;
      index_.graph_.LinkInAnywhere(slot, op);
      if (index_.neighbors_.forest().ParentCount(slot) == 0)
        return OutOfMemory(index_.options_, "load");
    }
    if (batch_.stop.stop_requested() && (order_.reached < n_ || !listless.empty()))
      return Cancelled("load", order_.reached, n_);
    return {};
  }

  // The half of the work that `half` (0, 1) is.
  std::function<void(size_t, size_t)> Progress(size_t half, size_t total) const {
    if (!batch_.progress) return {};
    return [this, half, total](size_t done, size_t) {
      batch_.progress((half * n_ + size_t{n_} * done / std::max<size_t>(1, total)) / 2, n_);
    };
  }

  std::string NameOf(SlotId slot) const {
    return slot == start() ? "start point" : "point " + std::to_string(entries_[slot]);
  }

  IndexImpl& index_;
  const SnapshotReader& reader_;
  const SnapshotHeader& header_;
  const BatchOptions& batch_;
  const LoadOptions::StoredVectors stored_check_;
  const uint32_t n_;
  std::vector<SlotId> slots_;      // Of each entry.
  std::vector<uint32_t> entries_;  // Of each slot; kNoSlot: none.
  std::vector<OwnedSlot> absent_;
  BreadthFirstOrder order_;
};

namespace {

// All that a source gives, as a file without a name.
Result<InputFile> Gather(const ByteSource& source, const std::stop_token& stop) {
  constexpr size_t kPiece = size_t{1} << 20;
  Result<OutputFile> file = OutputFile::CreateUnnamed();
  if (!file) return tl::unexpected(file.error());
  std::vector<std::byte> piece(kPiece);
  for (;;) {
    if (stop.stop_requested()) return MakeError(ErrorCode::kCancelled, "load: cancelled");
    const Result<size_t> n = source(piece);
    if (!n) return tl::unexpected(n.error());
    if (*n > piece.size())
      return Invalid("source", "at most " + std::to_string(piece.size()) + " bytes",
                     std::to_string(*n));
    if (*n == 0) return std::move(*file).TurnIntoInput();
    if (Status ok = file->Append(piece.data(), *n); !ok) return tl::unexpected(ok.error());
  }
}

}  // namespace

namespace {

// `stored`: null, or where the vectors are.
PointRows RowsOf(const IndexOptions& options, SnapshotCodecs codecs,
                 std::unique_ptr<StoredVectors> stored) {
  if (stored != nullptr) stored->codec().RaiseMaxNormSq(codecs.traversal->max_norm_sq());
  if (options.code == Code::kNone) codecs.traversal.reset();
  return {std::move(codecs.traversal), std::move(codecs.rerank), std::move(stored)};
}

}  // namespace

Result<Index> IndexImpl::Load(const std::filesystem::path& path, const LoadOptions& options) {
  return LoadOf(SnapshotReader::Open(path), options, nullptr);
}

Result<Index> IndexImpl::LoadFrom(const ByteSource& source, const LoadOptions& options) {
  try {
    return LoadOf(SnapshotReader::Open(Gather(source, options.batch.stop)), options, nullptr);
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "stream: no memory to load it");
  }
}

Result<Index> IndexImpl::LoadWithFeatures(const std::filesystem::path& path,
                                          std::unique_ptr<FeatureStore> store,
                                          const LoadOptions& options) {
  const Result<SnapshotReader> reader = SnapshotReader::Open(path);
  if (!reader) return tl::unexpected(reader.error());
  if (Status goes = CheckStore(reader->header().options, store.get()); !goes)
    return tl::unexpected(goes.error());
  return LoadOf(reader, options, std::move(store));
}

// `store`: null, or where the vectors are.
Result<Index> IndexImpl::LoadOf(const Result<SnapshotReader>& reader, const LoadOptions& options,
                                std::unique_ptr<FeatureStore> store) {
  if (!reader) return tl::unexpected(reader.error());
  const SnapshotHeader& header = reader->header();
  const std::string field = reader->file().path().string() + ": vectors";
  if (store == nullptr && header.has_slots != 0)
    return Mismatch(ErrorCode::kUnsupported, field, "in the file",
                    "in a feature store: Index::LoadWithFeatures loads it");
  if (store != nullptr && header.has_slots == 0)
    return Invalid(field, "in a feature store", "in the file: Index::Load loads it");
  IndexOptions index_options = header.options;
  index_options.runtime = options.runtime;
  try {
    Result<SnapshotCodecs> codecs = MakeSnapshotCodecs(*reader);
    if (!codecs) return tl::unexpected(codecs.error());
    std::unique_ptr<StoredVectors> stored;
    if (store != nullptr) stored = std::make_unique<StoredVectors>(std::move(store), index_options);
    Result<Index> index = CreateOf(
        index_options, RowsOf(index_options, *std::move(codecs), std::move(stored)), nullptr);
    if (!index) return index;
    const Status loaded = Loader(Of(*index), *reader, options).Run();
    if (!loaded) return tl::unexpected(loaded.error());
    Of(*index).ResumeRenewal();
    return index;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(index_options, "load");
  }
}

}  // namespace shoal
