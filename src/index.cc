// The public index: wiring, and next to no algorithms.
#include "shoal/index.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <string>

#include "base/hooks.h"
#include "base/parallel.h"
#include "index_impl.h"

namespace shoal {
namespace {

// Rows that one thread takes at a time from a batch.
constexpr size_t kInsertGrain = 8;
constexpr size_t kSearchGrain = 8;

tl::unexpected<Error> Invalid(const std::string& message) {
  return MakeError(ErrorCode::kInvalidArgument, message);
}

tl::unexpected<Error> OutOfMemory(const IndexOptions& options, const char* what) {
  std::string message = std::string(what) + ": no memory";
  if (options.memory_limit != 0)
    message += " (memory_limit: " + std::to_string(options.memory_limit) + " bytes)";
  return MakeError(ErrorCode::kOutOfMemory, message);
}

Status CheckOption(bool valid, const char* name, const std::string& expected, double found) {
  if (valid) return {};
  std::string number = std::to_string(found);
  if (found == std::floor(found) && std::abs(found) < 1e15)
    number = std::to_string(static_cast<long long>(found));
  return Invalid(std::string(name) + ": expected " + expected + ", found " + number);
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
    status = CheckOption(o.metric <= Metric::kCosine, "metric", "one of Metric",
                         static_cast<double>(o.metric));
  return status;
}

}  // namespace

IndexImpl::IndexImpl(const IndexOptions& options)
    : options_(options),
      budget_(options.memory_limit),
      codec_(options.scalar_type, options.metric, options.dim),
      features_(codec_.row_bytes()),
      neighbors_(budget_, slots_, options.max_degree),
      slots_(budget_, epochs_, {&features_.column(), &neighbors_.rows(), &neighbors_.meta()}),
      ids_(budget_, slots_),
      graph_(options_, codec_, slots_, neighbors_, features_) {}

Result<Index> IndexImpl::Create(const IndexOptions& options) {
  if (Status valid = Validate(options); !valid) return tl::unexpected(valid.error());
  try {
    auto impl = std::make_unique<IndexImpl>(options);
    if (!impl->slots_.Init() || !impl->neighbors_.Init())
      return OutOfMemory(options, "address space");
    return Index(std::move(impl));
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options, "index");
  }
}

Scratch& IndexImpl::ScratchOf(EpochRegistry::Guard& guard) const {
  auto& scratch = guard.cell().scratch;
  if (scratch == nullptr) scratch = std::make_unique<Scratch>();
  return static_cast<Scratch&>(*scratch);
}

Result<OwnedSlot> IndexImpl::Reserve(ExternalId id, VectorView vector) {
  const auto exists = [&] {
    return MakeError(ErrorCode::kAlreadyExists, "id " + std::to_string(id) + ": already there");
  };
  // Looked up first, so that the common duplicate costs no slot.
  if (ids_.Lock(id).slot()) return exists();
  SHOAL_RACE_POINT("insert.after_lookup");
  std::optional<OwnedSlot> slot = slots_.Acquire();
  if (!slot) return OutOfMemory(options_, "slots");
  codec_.Encode(vector, features_.Own(slot->id()));
  slots_.set_external_id(slot->id(), id);
  auto entry = ids_.Lock(id);
  if (entry.slot()) return exists();
  if (!entry.Add(slot->id())) return OutOfMemory(options_, "id map");
  return std::move(*slot);
}

void IndexImpl::Unreserve(ExternalId id) { ids_.Lock(id).Remove(); }

Status IndexImpl::EnsureStart(VectorView vector) {
  if (graph_.start() != kNoSlot) return {};
  const MutexLock lock(starting_);
  if (graph_.start() != kNoSlot) return {};
  std::optional<OwnedSlot> slot = slots_.Acquire();
  if (!slot) return OutOfMemory(options_, "slots");
  codec_.Encode(vector, features_.Own(slot->id()));
  neighbors_.ResetStart(slot->id());
  graph_.set_start(std::move(*slot).Freeze());
  return {};
}

Status IndexImpl::InsertReserved(ExternalId id, OwnedSlot slot) {
  const SlotId p = slot.id();
  SHOAL_RACE_POINT("insert.reserved");
  auto guard = epochs_.Pin();
  Status linked;
  try {
    linked = graph_.LinkOut(p, guard, ScratchOf(guard));
  } catch (const std::bad_alloc&) {
    linked = OutOfMemory(options_, "insert");
  }
  if (!linked) {
    graph_.UndoLinkOut(p);
    Unreserve(id);
    return linked;
  }
  {
    const auto entry = ids_.Lock(id);
    std::move(slot).Publish();
  }
  SHOAL_RACE_POINT("insert.published");
  try {
    graph_.LinkIn(p, guard, ScratchOf(guard));
  } catch (const std::bad_alloc&) {
    // The point is in; it needs one guard, which takes no memory.
    graph_.LinkInAnywhere(p, guard, ScratchOf(guard));
  }
  return {};
}

Status IndexImpl::Insert(ExternalId id, VectorView vector) {
  if (Status valid = codec_.Validate(vector, "vector"); !valid) return valid;
  try {
    if (Status started = EnsureStart(vector); !started) return started;
    Result<OwnedSlot> slot = Reserve(id, vector);
    if (!slot) return tl::unexpected(slot.error());
    return InsertReserved(id, std::move(*slot));
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "insert");
  }
}

size_t IndexImpl::CentralRow(MatrixView rows) const {
  constexpr size_t kSample = 1000;
  const size_t step = std::max<size_t>(1, rows.rows() / kSample);
  std::vector<const std::byte*> sample;
  std::vector<size_t> numbers;
  for (size_t i = 0; i < rows.rows(); i += step) {
    if (!codec_.Validate(rows[i], "row")) continue;
    sample.push_back(static_cast<const std::byte*>(rows[i].data()));
    numbers.push_back(i);
  }
  // The medoid of the sample by mean distance, each to a few dozen others.
  std::vector<std::byte> buffer(codec_.buffer_bytes());
  const size_t judges = std::min<size_t>(sample.size(), 64);
  std::vector<float> distances(sample.size());
  std::vector<double> sums(sample.size(), 0.0);
  for (size_t j = 0; j < judges; ++j) {
    const size_t judge = j * sample.size() / judges;
    codec_.ScoreRaw(sample[judge], sample.data(), sample.size(), buffer.data(), distances.data());
    for (size_t i = 0; i < sample.size(); ++i) sums[i] += distances[i];
  }
  const auto best = std::min_element(sums.begin(), sums.end()) - sums.begin();
  return sample.empty() ? rows.rows() : numbers[static_cast<size_t>(best)];
}

Result<InsertReport> IndexImpl::InsertMany(std::span<const ExternalId> ids, MatrixView rows,
                                           const BatchOptions& batch) {
  if (ids.size() != rows.rows())
    return Invalid("ids: expected one per row, " + std::to_string(rows.rows()) + ", found " +
                   std::to_string(ids.size()));
  InsertReport report;
  Mutex reporting;
  try {
    if (graph_.start() == kNoSlot) {
      const size_t central = CentralRow(rows);
      // A failure here is every row's failure, and reported there.
      if (central < rows.rows()) (void)EnsureStart(rows[central]);
    }
    ParallelFor(batch.threads, rows.rows(), kInsertGrain, batch.progress,
                [&](size_t begin, size_t end) {
                  for (size_t i = begin; i < end; ++i) {
                    Status inserted = Insert(ids[i], rows[i]);
                    if (inserted) continue;
                    const MutexLock lock(reporting);
                    report.failures.push_back({i, std::move(inserted.error())});
                  }
                });
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "insert");
  }
  std::sort(report.failures.begin(), report.failures.end(),
            [](const auto& a, const auto& b) { return a.row < b.row; });
  report.inserted = rows.rows() - report.failures.size();
  return report;
}

std::vector<SlotId> IndexImpl::LiveSlots() const {
  std::vector<SlotId> live;
  const SlotId slots = slots_.high_water();
  for (SlotId slot = 0; slot < slots; ++slot)
    if (slots_.tag(slot) == Tag::kLive) live.push_back(slot);
  return live;
}

Status IndexImpl::Refine(const BatchOptions& batch) {
  try {
    const std::vector<SlotId> live = LiveSlots();
    ParallelFor(batch.threads, live.size(), kInsertGrain, batch.progress,
                [&](size_t begin, size_t end) {
                  for (size_t i = begin; i < end; ++i) {
                    auto guard = epochs_.Pin();
                    graph_.Relink(live[i], guard, ScratchOf(guard));
                  }
                });
    return {};
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "refine");
  }
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
    Scratch& scratch = ScratchOf(guard);
    scratch.query_buffer.resize(codec_.buffer_bytes());
    const Scorer scorer = codec_.BindQuery(query, scratch.query_buffer.data());
    // More candidates than points make no sense, and may not fit in memory.
    const size_t most = std::max<size_t>(1, slots_.high_water());
    const size_t k = std::min(options.k, most);
    graph_.BeamSearch(scorer, std::min(std::max(options.search_list_size, k), most), {}, guard,
                      scratch);
    size_t hits = 0;
    for (size_t i = 0; i < scratch.best.size() && hits < k; ++i) {
      if (!scratch.best.IsReturnable(i)) continue;
      ids[hits] = slots_.external_id(scratch.best[i].slot);
      if (!distances.empty()) distances[hits] = scratch.best[i].distance;
      ++hits;
    }
    if (work != nullptr) *work = guard.work;
    return hits;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "search");
  }
}

Result<std::vector<Hit>> IndexImpl::RangeSearch(VectorView query, const RangeOptions& options) {
  if (Status valid = codec_.Validate(query, "query"); !valid) return tl::unexpected(valid.error());
  if (std::isnan(options.radius)) return Invalid("radius: expected a number, found NaN");
  try {
    auto guard = epochs_.Pin();
    Scratch& scratch = ScratchOf(guard);
    scratch.query_buffer.resize(codec_.buffer_bytes());
    const Scorer scorer = codec_.BindQuery(query, scratch.query_buffer.data());
    const size_t most = std::max<size_t>(1, slots_.high_water());
    graph_.RangeSearch(scorer, std::clamp<size_t>(options.search_list_size, 1, most),
                       options.radius, guard, scratch);
    std::vector<Hit> hits;
    hits.reserve(scratch.within.size());
    for (const Candidate& candidate : scratch.within)
      hits.push_back({slots_.external_id(candidate.slot), candidate.distance});
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

IndexStats IndexImpl::Stats() const {
  IndexStats stats;
  const SlotId slots = slots_.high_water();
  stats.points = slots_.live();
  stats.slots_used = slots;
  stats.edges = neighbors_.edges();
  stats.average_degree =
      slots == 0 ? 0 : static_cast<double>(stats.edges) / static_cast<double>(slots);
  stats.epoch = epochs_.Current();
  stats.oldest_pin = epochs_.OldestPin();
  stats.work = epochs_.Work();
  stats.memory.vectors = features_.column().Resident(slots);
  stats.memory.neighbors = neighbors_.RowBytes(slots);
  stats.memory.reverse_lists = neighbors_.ReverseBytes();
  stats.memory.slots = slots_.ResidentBytes() + neighbors_.MetaBytes(slots);
  stats.memory.id_map = ids_.bytes();
  stats.memory.scratch = epochs_.ScratchBytes() + sizeof(IndexImpl);
  return stats;
}

Status IndexImpl::CheckStructure() {
  if (Status graph = graph_.CheckStructure(); !graph) return graph;
  const std::vector<SlotId> live = LiveSlots();
  for (const SlotId slot : live) {
    const ExternalId id = slots_.external_id(slot);
    const auto mapped = ids_.Lock(id).slot();
    if (mapped != slot)
      return MakeError(ErrorCode::kCorrupt, "structure: slot " + std::to_string(slot) + " has id " +
                                                std::to_string(id) + ", which is mapped elsewhere");
  }
  if (live.size() != slots_.live())
    return MakeError(ErrorCode::kCorrupt, "structure: live points: counted " +
                                              std::to_string(live.size()) + ", kept " +
                                              std::to_string(slots_.live()));
  return {};
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
  if (!sizes) return sizes;
  Status first_error;
  Mutex reporting;
  ParallelFor(batch.threads, n, kSearchGrain, batch.progress, [&](size_t begin, size_t end) {
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
  });
  return first_error;
}

Result<std::vector<Hit>> Index::RangeSearch(VectorView query, const RangeOptions& options) const {
  return impl_->RangeSearch(query, options);
}

bool Index::Contains(ExternalId id) const { return impl_->Contains(id); }
size_t Index::size() const { return impl_->size(); }
const IndexOptions& Index::options() const { return impl_->options(); }
IndexStats Index::Stats() const { return impl_->Stats(); }
Status Index::CheckStructure() const { return impl_->CheckStructure(); }

}  // namespace shoal
