// The public index: wiring, and next to no algorithms.
#include "shoal/index.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <new>
#include <string>

#include "base/hooks.h"
#include "base/number.h"
#include "base/parallel.h"
#include "index_impl.h"

namespace shoal {
namespace {

// Queries that one thread takes at a time from a batch of n: few enough that all threads have
// several pieces, so many that a piece (128 candidates, guessed: some 100 us) is worth a thread's
// start.
size_t SearchGrain(size_t n, size_t threads, const SearchOptions& options) {
  constexpr size_t kMax = 8, kPieces = 4, kWorthAStart = 128;
  if (threads == 0) threads = AvailableCpus();
  const size_t list = std::max(options.search_list_size, options.k);
  const size_t least = std::clamp<size_t>(kWorthAStart / list, 1, kMax);
  return std::clamp(n / threads / kPieces, least, kMax);
}

tl::unexpected<Error> Invalid(const std::string& message) {
  return MakeError(ErrorCode::kInvalidArgument, message);
}

Status CheckOption(bool valid, const char* name, const std::string& expected, double found) {
  if (valid) return {};
  return Invalid(std::string(name) + ": expected " + expected + ", found " + Written(found));
}

Status Validate(const IndexOptions& o) {
  Status status =
      CheckOption(o.dim >= 1 && o.dim <= kMaxDim, "dim", "1 to " + std::to_string(kMaxDim), o.dim);
  if (status)
    status = CheckOption(o.max_degree >= 4 && o.max_degree <= kMaxDegree, "max_degree",
                         "4 to " + std::to_string(kMaxDegree), o.max_degree);
  if (status)
    status =
        CheckOption(o.build_list_size >= 1 && o.build_list_size <= kMaxListSize, "build_list_size",
                    "1 to " + std::to_string(kMaxListSize), o.build_list_size);
  if (status) status = CheckOption(o.alpha >= 1 && o.alpha <= 2, "alpha", "1 to 2", o.alpha);
  if (status)
    status = CheckOption(o.scalar_type <= ScalarType::kUint8, "scalar_type", "one of ScalarType",
                         static_cast<double>(o.scalar_type));
  if (status)
    status = CheckOption(o.repair <= RepairPolicy::kManual, "repair", "one of RepairPolicy",
                         static_cast<double>(o.repair));
  if (status)
    status = CheckOption(o.repair_threads >= 1 && o.repair_threads <= 256, "repair_threads",
                         "1 to 256", o.repair_threads);
  if (status)
    status = CheckOption(o.repair_share >= 1 && o.repair_share <= 100, "repair_share", "1 to 100",
                         o.repair_share);
  if (status)
    status = CheckOption(o.metric <= Metric::kCosine, "metric", "one of Metric",
                         static_cast<double>(o.metric));
  return status;
}

// Whether `id` is none of `ids`; it is noted as the next of them. A search may find a point where
// it was when the search began, and where it is now. `table`: hash table of positions + 1 in `ids`,
// a power of two and at most half full.
bool IsNew(ExternalId id, std::span<const ExternalId> ids, std::vector<uint32_t>& table) {
  const size_t mask = table.size() - 1;
  size_t at = (id * 0x9e3779b97f4a7c15u >> 32) & mask;
  for (; table[at] != 0; at = (at + 1) & mask)
    if (ids[table[at] - 1] == id) return false;
  table[at] = static_cast<uint32_t>(ids.size() + 1);
  return true;
}

}  // namespace

tl::unexpected<Error> OutOfMemory(const IndexOptions& options, const char* what) {
  try {
    std::string message = std::string(what) + ": no memory";
    if (options.memory_limit != 0)
      message += " (memory_limit: " + std::to_string(options.memory_limit) + " bytes)";
    return MakeError(ErrorCode::kOutOfMemory, message);
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "no memory");  // Short enough to need none.
  }
}

tl::unexpected<Error> Cancelled(const char* what, size_t done, size_t total) {
  return MakeError(ErrorCode::kCancelled, std::string(what) + ": cancelled after " +
                                              std::to_string(done) + " of " +
                                              std::to_string(total));
}

IndexImpl::IndexImpl(const IndexOptions& options)
    : options_(options),
      budget_(options.memory_limit),
      codec_(options.scalar_type, options.metric, options.dim),
      features_(codec_.row_bytes()),
      neighbors_(budget_, slots_, options.max_degree),
      slots_(budget_, epochs_, {&features_.column(), &neighbors_.rows(), &neighbors_.meta()}),
      ids_(budget_, slots_),
      graph_(options_, codec_, slots_, neighbors_, features_) {}

IndexImpl::~IndexImpl() {
  repairs_.Close();
  SHOAL_SYNC_POINT("destroy.closed");
  for (std::thread& thread : repairers_) thread.join();
}

Result<Index> IndexImpl::Create(const IndexOptions& options) {
  try {
    if (Status valid = Validate(options); !valid) return tl::unexpected(valid.error());
    auto impl = std::make_unique<IndexImpl>(options);
    if (!impl->slots_.Init() || !impl->neighbors_.Init())
      return OutOfMemory(options, "address space");
    if (!impl->StartRepairers()) return OutOfMemory(options, "repair_threads");
    return Index(std::move(impl));
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options, "index");
  }
}

// Writes the k nearest of the last search's list, each id once. An empty `distances` is left out.
// Returns how many there are.
size_t IndexImpl::CollectHits(size_t k, std::span<ExternalId> ids, std::span<float> distances,
                              const Operation& op) const {
  Scratch& scratch = op.scratch;
  // Read after the tags: a search that has seen two slots of one id sees the flag, too.
  const bool unique = any_left_.load(std::memory_order_relaxed);
  if (unique) scratch.id_table.assign(std::bit_ceil(2 * k), 0);
  size_t hits = 0;
  for (size_t i = 0; i < scratch.search.best.size() && hits < k; ++i) {
    if (!scratch.search.best.IsEligible(i)) continue;
    const ExternalId id = slots_.external_id(scratch.search.best[i].slot);
    if (unique && !IsNew(id, ids.first(hits), scratch.id_table)) continue;
    ids[hits] = id;
    if (!distances.empty()) distances[hits] = scratch.search.best[i].distance;
    ++hits;
  }
  return hits;
}

Result<size_t> IndexImpl::Search(VectorView query, const SearchOptions& options,
                                 std::span<ExternalId> ids, std::span<float> distances,
                                 WorkCounters* work) {
  if (Status valid = codec_.Validate(query, "query"); !valid) return tl::unexpected(valid.error());
  if (options.k == 0) return Invalid("k: expected at least 1, found 0");
  if (ids.size() < options.k)
    return Invalid("ids: expected room for k = " + std::to_string(options.k) + ", found " +
                   std::to_string(ids.size()));
  if (!distances.empty() && distances.size() < options.k)
    return Invalid("distances: expected room for k = " + std::to_string(options.k) + ", found " +
                   std::to_string(distances.size()));
  try {
    auto guard = epochs_.Pin();
    Operation op(guard, codec_);
    Scratch& scratch = op.scratch;
    const Scorer scorer = codec_.BindQuery(query, scratch.query_buffer.data());
    // More candidates than points make no sense, and may not fit in memory.
    const size_t most = std::max<size_t>(1, slots_.high_water());
    const size_t k = std::min(options.k, most);
    size_t list_size = std::min(std::max(options.search_list_size, k), most);
    size_t hits = 0;
    for (;; list_size = std::min(2 * list_size, most)) {
      graph_.BeamSearch(scorer, list_size, op);
      hits = CollectHits(k, ids, distances, op);
      // A list that is full and holds fewer than k ids holds some of them twice.
      if (hits == k || !scratch.search.best.full() || list_size >= most) break;
    }
    if (work != nullptr) *work = guard.work;
    return hits;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "search");
  }
}

Result<std::vector<Hit>> IndexImpl::RangeSearch(VectorView query, const RangeOptions& options,
                                                WorkCounters* work) {
  if (Status valid = codec_.Validate(query, "query"); !valid) return tl::unexpected(valid.error());
  if (std::isnan(options.radius)) return Invalid("radius: expected a number, found NaN");
  try {
    auto guard = epochs_.Pin();
    Operation op(guard, codec_);
    Scratch& scratch = op.scratch;
    const Scorer scorer = codec_.BindQuery(query, scratch.query_buffer.data());
    const size_t most = std::max<size_t>(1, slots_.high_water());
    graph_.RangeSearch(scorer, std::clamp<size_t>(options.search_list_size, 1, most),
                       options.radius, op);
    std::vector<Hit> hits;
    hits.reserve(scratch.search.within.size());
    const bool unique = any_left_.load(std::memory_order_relaxed);
    if (unique) scratch.id_table.assign(std::bit_ceil(2 * scratch.search.within.size() + 1), 0);
    std::vector<ExternalId> ids;
    for (const Candidate& candidate : scratch.search.within) {
      const ExternalId id = slots_.external_id(candidate.slot);
      if (unique && !IsNew(id, ids, scratch.id_table)) continue;
      ids.push_back(id);
      hits.push_back({id, candidate.distance});
    }
    if (work != nullptr) *work = guard.work;
    return hits;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "search");
  }
}

bool IndexImpl::Contains(ExternalId id) {
  const auto entry = ids_.Lock(id);
  const auto slot = entry.slot();
  return slot && slots_.tag(*slot) == Tag::kLive;
}

Status IndexImpl::Get(ExternalId id, void* vector) {
  const auto guard = epochs_.Pin();  // From before the look-up: the row stands while it is copied.
  std::optional<SlotId> slot;
  {
    // The tag is asked under the entry: behind it an Upsert may retire the slot, or an Insert that
    // gives up may leave it to another id.
    const auto entry = ids_.Lock(id);
    slot = entry.slot();
    if (!slot || slots_.tag(*slot) != Tag::kLive) return NotFound(id);
  }
  SHOAL_SYNC_POINT("get.looked_up");
  std::memcpy(vector, features_.Row(*slot), options_.dim * ScalarSize(options_.scalar_type));
  return {};
}

Result<std::vector<ExternalId>> IndexImpl::Ids() const {
  try {
    std::vector<ExternalId> ids;
    ids.reserve(size());
    ids_.ForEach([&](SlotId slot) {
      if (slots_.tag(slot) == Tag::kLive) ids.push_back(slots_.external_id(slot));
    });
    return ids;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "ids");
  }
}

IndexStats IndexImpl::Stats() const {
  IndexStats stats;
  const SlotId slots = slots_.high_water();
  stats.points = slots_.live();
  stats.slots_used = slots;
  stats.pending_repairs = repairs_.size();
  stats.retired_slots = slots_.retired();
  stats.retirements = slots_.retires();
  stats.restarts = graph_.restarts();
  stats.reparented = graph_.reparented();
  stats.relinked = graph_.relinked();
  stats.unreachable = unreachable_.load(std::memory_order_relaxed);
  stats.edges = neighbors_.edges();
  const uint64_t listed = stats.points + stats.pending_repairs + (slots == 0 ? 0 : 1);
  stats.average_degree =
      listed == 0 ? 0 : static_cast<double>(stats.edges) / static_cast<double>(listed);
  stats.epoch = epochs_.Current();
  stats.oldest_pin = epochs_.OldestPin();
  stats.work = epochs_.Work();
  stats.memory.vectors = slots_.ResidentBytes(features_.column());
  stats.memory.neighbors = slots_.ResidentBytes(neighbors_.rows());
  stats.memory.reverse_lists = neighbors_.ReverseBytes();
  stats.memory.slots =
      slots_.ResidentBytes() + slots_.ResidentBytes(neighbors_.meta()) + repairs_.bytes();
  stats.memory.id_map = ids_.bytes();
  stats.memory.scratch = epochs_.ScratchBytes() + sizeof(IndexImpl);
  return stats;
}

Status IndexImpl::CheckStructure() {
  size_t unreachable = 0;
  Status graph = graph_.CheckStructure(unreachable);
  unreachable_.store(unreachable, std::memory_order_relaxed);
  if (!graph) return graph;
  const std::vector<SlotId> live = LiveSlots();
  for (const SlotId slot : live) {
    const ExternalId id = slots_.external_id(slot);
    const auto mapped = ids_.Lock(id).slot();
    if (mapped != slot)
      return MakeError(ErrorCode::kCorrupt, "structure: slot " + std::to_string(slot) + " has id " +
                                                std::to_string(id) + ", which is mapped elsewhere");
  }
  size_t mapped = 0;
  ids_.ForEach([&](SlotId) { ++mapped; });
  if (mapped != live.size())
    return MakeError(ErrorCode::kCorrupt, "structure: ids: " + std::to_string(mapped) +
                                              " are mapped, to " + std::to_string(live.size()) +
                                              " live points");
  return slots_.CheckCounts(repairs_.size());
}

Index::Index(std::unique_ptr<IndexImpl> impl) : impl_(std::move(impl)) {}
Index::~Index() = default;
Index::Index(Index&&) noexcept = default;
Index& Index::operator=(Index&&) noexcept = default;

Result<Index> Index::Create(const IndexOptions& options) { return IndexImpl::Create(options); }

Status Index::Insert(ExternalId id, VectorView vector) { return impl_->Insert(id, vector); }

Result<InsertReport> Index::InsertMany(std::span<const ExternalId> ids, MatrixView rows,
                                       const BatchOptions& batch) {
  return impl_->InsertMany(ids, rows, batch);
}

Status Index::Upsert(ExternalId id, VectorView vector) { return impl_->Upsert(id, vector); }
Status Index::Delete(ExternalId id) { return impl_->Delete(id); }
Result<DeleteReport> Index::DeleteMany(std::span<const ExternalId> ids, const BatchOptions& batch) {
  return impl_->DeleteMany(ids, batch);
}
Status Index::Clear(const BatchOptions& batch) { return impl_->Clear(batch); }
Status Index::Save(const std::filesystem::path& path, const BatchOptions& batch) const {
  return impl_->Save(path, batch);
}
Result<Index> Index::Load(const std::filesystem::path& path, const LoadOptions& options) {
  return IndexImpl::Load(path, options);
}
Status Index::Consolidate(const BatchOptions& batch) { return impl_->Consolidate(batch); }
Result<size_t> Index::Compact(const BatchOptions& batch) { return impl_->Compact(batch); }
Status Index::Get(ExternalId id, void* vector) const { return impl_->Get(id, vector); }
Result<std::vector<ExternalId>> Index::Ids() const { return impl_->Ids(); }

Status Index::Refine(const BatchOptions& batch) { return impl_->Refine(batch); }

Result<size_t> Index::Search(VectorView query, const SearchOptions& options,
                             std::span<ExternalId> ids, std::span<float> distances,
                             WorkCounters* work) const {
  return impl_->Search(query, options, ids, distances, work);
}

Result<std::vector<Hit>> Index::Search(VectorView query, const SearchOptions& options) const {
  try {
    // No more hits than points, whatever k.
    const size_t room = std::min(options.k, std::max<size_t>(1, size()) + 64);
    std::vector<ExternalId> ids(room);
    std::vector<float> distances(room);
    SearchOptions bounded = options;
    bounded.k = room;
    bounded.search_list_size = std::max(options.search_list_size, room);
    if (options.k == 0) bounded.k = 0;
    const Result<size_t> n = Search(query, bounded, ids, distances);
    if (!n) return tl::unexpected(n.error());
    std::vector<Hit> hits(*n);
    for (size_t i = 0; i < *n; ++i) hits[i] = {ids[i], distances[i]};
    return hits;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(this->options(), "search");
  }
}

Status Index::SearchMany(MatrixView queries, const SearchOptions& options,
                         const SearchManyOutput& output, const BatchOptions& batch) const {
  const size_t n = queries.rows();
  // n x each elements, which may be more than a size_t counts.
  const auto check = [n](const char* name, size_t each, size_t found) -> Status {
    if (n == 0 || found / n >= each) return {};
    return Invalid(std::string(name) + ": expected room for " + std::to_string(n) + " x " +
                   std::to_string(each) + ", found " + std::to_string(found));
  };
  if (options.k == 0) return Invalid("k: expected at least 1, found 0");
  Status sizes = check("ids", options.k, output.ids.size());
  if (sizes && !output.distances.empty())
    sizes = check("distances", options.k, output.distances.size());
  if (sizes) sizes = check("counts", 1, output.counts.size());
  if (sizes && !output.work.empty()) sizes = check("work", 1, output.work.size());
  if (!sizes || n == 0) return sizes;
  std::fill_n(output.counts.begin(), n, 0);
  if (Status shape = impl_->ValidateShape(queries, "queries"); !shape) return shape;
  Status first_error;
  Mutex reporting;
  const auto search = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const auto distances = output.distances.empty()
                                 ? std::span<float>()
                                 : output.distances.subspan(i * options.k, options.k);
      const Result<size_t> hits =
          Search(queries[i], options, output.ids.subspan(i * options.k, options.k), distances,
                 output.work.empty() ? nullptr : &output.work[i]);
      output.counts[i] = hits ? static_cast<uint32_t>(*hits) : 0;
      if (hits) continue;
      const MutexLock lock(reporting);
      if (first_error)
        first_error =
            MakeError(hits.error().code, "row " + std::to_string(i) + ": " + hits.error().message);
    }
  };
  try {
    const size_t done = ParallelFor(batch.threads, n, SearchGrain(n, batch.threads, options),
                                    batch.progress, search, batch.stop);
    if (done < n) return Cancelled("search", done, n);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(this->options(), "search");
  }
  return first_error;
}

Result<std::vector<Hit>> Index::RangeSearch(VectorView query, const RangeOptions& options,
                                            WorkCounters* work) const {
  return impl_->RangeSearch(query, options, work);
}

bool Index::Contains(ExternalId id) const { return impl_->Contains(id); }
size_t Index::size() const { return impl_->size(); }
const IndexOptions& Index::options() const { return impl_->options(); }
IndexStats Index::Stats() const { return impl_->Stats(); }
Status Index::CheckStructure() const {
  try {
    return impl_->CheckStructure();
  } catch (const std::bad_alloc&) {
    return OutOfMemory(this->options(), "structure");
  }
}

}  // namespace shoal
