// The wiring of an index: creation, counters, the structural check, and the public class.
#include "shoal/index.h"

#include <new>
#include <string>

#include "base/hooks.h"
#include "base/mismatch.h"
#include "base/type_and_metric.h"
#include "codec/full_codec.h"
#include "codec/make_codec.h"
#include "index_codes.h"
#include "index_impl.h"
#include "search_calls.h"

namespace shoal {
namespace {

template <class Enum>
Status CheckEnum(const char* field, Enum value, Enum last, const char* expected) {
  if (value <= last) return {};
  return Mismatch(ErrorCode::kInvalidArgument, field, expected,
                  Written(static_cast<unsigned>(value)));
}

template <class Number>
Status CheckOption(const char* field, Number value, std::type_identity_t<Number> low,
                   std::type_identity_t<Number> high) {
  return CheckRange(ErrorCode::kInvalidArgument, field, value, low, high);
}

Status Validate(const IndexOptions& o) {
  const RuntimeOptions& runtime = o.runtime;
  for (const Status& checked :
       {CheckOption("dim", o.dim, 1, kMaxDim),
        CheckOption("max_degree", o.max_degree, 4, kMaxDegree),
        CheckOption("build_list_size", o.build_list_size, 1, kMaxListSize),
        CheckOption("alpha", o.alpha, 1, 2),
        CheckEnum("scalar_type", o.scalar_type, ScalarType::kBit, "one of ScalarType"),
        CheckEnum("repair", runtime.repair, RepairPolicy::kManual, "one of RepairPolicy"),
        CheckOption("repair_threads", runtime.repair_threads, 1, 256),
        CheckOption("repair_share", runtime.repair_share, 1, 100),
        CheckEnum("metric", o.metric, Metric::kHamming, "one of Metric"),
        CheckTypeAndMetric(o.scalar_type, o.metric),
        CheckEnum("code", o.code, Code::kNone, "one of Code"),
        CheckEnum("rerank_code", o.rerank_code, Code::kNone, "one of Code"),
        CheckCodes(ResolveCodes(o))})
    if (!checked) return checked;
  return {};
}

// Unsupported: there is no such code for such vectors.
// `store`: null, or where the vectors are, which then order the hits.
Result<PointRows> MakeRows(const IndexOptions& o, std::unique_ptr<FeatureStore> store) {
  std::unique_ptr<Codec> codecs[2];
  const auto make = [&](const char* field, Code code, std::unique_ptr<Codec>& out) -> Status {
    out = MakeCodec(code, o.scalar_type, o.metric, o.dim);
    if (out != nullptr) return {};
    return Mismatch(ErrorCode::kUnsupported, field,
                    "a code for " + std::string(ScalarTypeName(o.scalar_type)) + " vectors with " +
                        std::string(MetricName(o.metric)),
                    CodeName(code));
  };
  const bool is_fetched = o.code == Code::kNone && store != nullptr;
  Status made = is_fetched ? Status() : make("code", o.code, codecs[0]);
  if (made && HasRerankRows(o) && store == nullptr)
    made = make("rerank_code", o.rerank_code, codecs[1]);
  if (!made) return tl::unexpected(made.error());
  std::unique_ptr<StoredVectors> stored;
  if (store != nullptr) stored = std::make_unique<StoredVectors>(std::move(store), o);
  return PointRows(std::move(codecs[0]), std::move(codecs[1]), std::move(stored));
}

// All columns that grow with the slot table.
std::vector<Column*> Columns(const PointRows& rows, NeighborLists& neighbors) {
  std::vector<Column*> columns;
  for (const auto& part : rows.parts()) columns.push_back(&part->features.column());
  columns.insert(columns.end(), {&neighbors.rows(), &neighbors.meta()});
  return columns;
}

}  // namespace

tl::unexpected<Error> Invalid(std::string_view field, std::string_view expected,
                              std::string_view found) {
  return Mismatch(ErrorCode::kInvalidArgument, field, expected, found);
}

tl::unexpected<Error> OutOfMemory(const IndexOptions& options, const char* what) {
  try {
    std::string message = std::string(what) + ": no memory";
    if (options.runtime.memory_limit != 0)
      message += " (memory_limit: " + std::to_string(options.runtime.memory_limit) + " bytes)";
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

IndexImpl::IndexImpl(const IndexOptions& options, PointRows rows, ChangeObserver* observer)
    : options_(options),
      observer_(observer),
      rows_(std::move(rows).Over(slots_)),
      budget_(options.runtime.memory_limit),
      check_(options.scalar_type, options.metric, options.dim),
      neighbors_(budget_, slots_, options.max_degree),
      slots_(budget_, epochs_, Columns(rows_, neighbors_)),
      ids_(budget_, slots_),
      graph_(options_,
             {rows_.traversal(),
              PrunesOnRerankRows(options.code) ? rows_.ranking() : rows_.traversal(),
              YieldsToRerankRows(options.code) ? rows_.rerank() : std::nullopt},
             slots_, neighbors_),
      calibrated_(MakeCalibrated()),
      calibrator_(std::make_unique<Calibrator>(*calibrated_)) {
  if (rows_.stored() != nullptr) slots_.SetReturnObserver(this);
}

// A slot that becomes available has no row in the feature store.
void IndexImpl::OnReturn(SlotId slot) { rows_.stored()->Free({slot, slots_.external_id(slot)}); }

IndexImpl::~IndexImpl() {
  repairs_.Close();
  SHOAL_SYNC_POINT("destroy.closed");
  for (std::thread& thread : repairers_) thread.join();
}

Result<Index> IndexImpl::Create(const IndexOptions& options, ChangeObserver* observer) {
  return Make(options, nullptr, observer);
}

Status IndexImpl::CheckStore(const IndexOptions& options, const FeatureStore* store) {
  if (store == nullptr) return Invalid("store", "a feature store", "null");
  const size_t bytes = VectorView(nullptr, options.scalar_type, options.dim).bytes();
  if (store->row_bytes() == bytes) return {};
  return Invalid("store: row_bytes", Written(bytes) + " (dim x the scalar type's size)",
                 Written(store->row_bytes()));
}

Result<Index> IndexImpl::CreateWithFeatures(const IndexOptions& options,
                                            std::unique_ptr<FeatureStore> store) {
  if (Status goes = CheckStore(options, store.get()); !goes) return tl::unexpected(goes.error());
  if (options.rerank_code != Code::kFull && options.rerank_code != Code::kAuto)
    return Invalid("rerank_code", "full: the store's vectors", CodeName(options.rerank_code));
  return Make(options, std::move(store), nullptr);
}

Result<Index> IndexImpl::Make(const IndexOptions& options, std::unique_ptr<FeatureStore> store,
                              ChangeObserver* observer) {
  try {
    if (Status valid = Validate(options); !valid) return tl::unexpected(valid.error());
    const IndexOptions resolved = ResolveCodes(options);
    if (resolved.code == Code::kNone && store == nullptr)
      return Invalid("code", "one that is kept in memory, without a feature store", "none");
    Result<PointRows> rows = MakeRows(resolved, std::move(store));
    if (!rows) return tl::unexpected(rows.error());
    Result<Index> index = CreateOf(resolved, std::move(*rows), observer);
    if (index) Of(*index).rows_.ReadInPlace();
    return index;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options, "index");
  }
}

Result<uint64_t> IndexImpl::RowBytes(const IndexOptions& options) {
  if (Status valid = Validate(options); !valid) return tl::unexpected(valid.error());
  if (options.code == Code::kNone) return 0;
  const Result<PointRows> rows = MakeRows(ResolveCodes(options), nullptr);
  if (!rows) return tl::unexpected(rows.error());
  uint64_t bytes = 0;
  for (const auto& part : rows->parts()) bytes += part->codec->row_bytes();
  return bytes;
}

Result<Index> IndexImpl::CreateOf(const IndexOptions& options, PointRows rows,
                                  ChangeObserver* observer) {
  try {
    if (Status valid = Validate(options); !valid) return tl::unexpected(valid.error());
    auto impl = std::make_unique<IndexImpl>(options, std::move(rows), observer);
    if (!impl->slots_.Init() || !impl->neighbors_.Init())
      return OutOfMemory(options, "address space");
    if (!impl->StartRepairers()) return OutOfMemory(options, "repair_threads");
    return Index(std::move(impl));
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options, "index");
  }
}

IndexStats IndexImpl::Stats() const {
  IndexStats stats;
  const SlotId slots = slots_.high_water();
  stats.points = slots_.live();
  stats.slots_used = slots;
  stats.pending_repairs = repairs_.size();
  stats.retired_slots = slots_.retired();
  stats.edges = neighbors_.edges();
  const uint64_t listed = stats.points + stats.pending_repairs + (slots == 0 ? 0 : 1);
  stats.average_degree =
      listed == 0 ? 0 : static_cast<double>(stats.edges) / static_cast<double>(listed);
  stats.work = epochs_.Work();
  for (const auto& part : rows_.parts())
    stats.memory.vectors += slots_.ResidentBytes(part->features.column());
  stats.memory.neighbors = slots_.ResidentBytes(neighbors_.rows());
  stats.memory.reverse_lists = neighbors_.ReverseBytes();
  stats.memory.slots =
      slots_.ResidentBytes() + slots_.ResidentBytes(neighbors_.meta()) + repairs_.bytes();
  stats.memory.id_map = ids_.bytes();
  stats.memory.labels = slots_.labels().bytes();
  stats.memory.scratch = epochs_.ScratchBytes() + sizeof(IndexImpl);
  return stats;
}

IndexDiagnostics IndexImpl::Diagnostics() const {
  return {.epoch = epochs_.Current(),
          .oldest_pin = epochs_.OldestPin(),
          .retirements = slots_.retires(),
          .restarts = graph_.restarts(),
          .reparented = graph_.reparented(),
          .relinked = graph_.relinked(),
          .unreachable = unreachable_.load(std::memory_order_relaxed)};
}

Status IndexImpl::CheckStructure() const {
  try {
    size_t unreachable = 0;
    Status graph = graph_.CheckStructure(unreachable);
    unreachable_.store(unreachable, std::memory_order_relaxed);
    if (graph) graph = CheckIds();
    if (graph) graph = CheckSets();
    return graph ? slots_.CheckCounts(repairs_.size()) : graph;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "structure");
  }
}

// Each live point is mapped, by its own id, and no other slot is.
Status IndexImpl::CheckIds() const {
  const std::vector<SlotId> live = LiveSlots();
  for (const SlotId slot : live) {
    const ExternalId id = slots_.external_id(slot);
    if (ids_.Lock(id).slot() != slot)
      return MakeError(ErrorCode::kCorrupt, "structure: slot " + std::to_string(slot) + " has id " +
                                                std::to_string(id) + ", which is mapped elsewhere");
  }
  size_t mapped = 0;
  ids_.ForEach([&](SlotId) { ++mapped; });
  if (mapped == live.size()) return {};
  return MakeError(ErrorCode::kCorrupt, "structure: ids: " + std::to_string(mapped) +
                                            " are mapped, to " + std::to_string(live.size()) +
                                            " live points");
}

Index::Index(std::unique_ptr<IndexImpl> impl) : impl_(std::move(impl)) {}
Index::~Index() = default;
Index::Index(Index&&) noexcept = default;
Index& Index::operator=(Index&&) noexcept = default;

Result<Index> Index::Create(const IndexOptions& options) { return IndexImpl::Create(options); }
Result<Index> Index::CreateWithFeatures(const IndexOptions& options,
                                        std::unique_ptr<FeatureStore> store) {
  return IndexImpl::CreateWithFeatures(options, std::move(store));
}
Status Index::Insert(ExternalId id, VectorView vector) { return impl_->Insert(id, vector); }
Status Index::Insert(ExternalId id, VectorView vector, std::span<const uint32_t> labels) {
  return impl_->Insert(id, vector, labels);
}
Status Index::Upsert(ExternalId id, VectorView vector, std::span<const uint32_t> labels) {
  return impl_->Upsert(id, vector, labels);
}
Status Index::SetLabels(ExternalId id, std::span<const uint32_t> labels) {
  return impl_->SetLabels(id, labels);
}
Result<std::vector<uint32_t>> Index::Labels(ExternalId id) const { return impl_->Labels(id); }
Result<BatchReport> Index::InsertMany(std::span<const ExternalId> ids, MatrixView rows,
                                      const BatchOptions& batch) {
  return impl_->InsertMany(ids, rows, nullptr, batch);
}
Result<BatchReport> Index::InsertMany(std::span<const ExternalId> ids, const LabelRows& labels,
                                      MatrixView rows, const BatchOptions& batch) {
  return impl_->InsertMany(ids, rows, &labels, batch);
}
Status Index::Upsert(ExternalId id, VectorView vector) { return impl_->Upsert(id, vector); }
Result<BatchReport> Index::UpsertMany(std::span<const ExternalId> ids, MatrixView rows,
                                      const BatchOptions& batch) {
  return impl_->UpsertMany(ids, rows, nullptr, batch);
}
Result<BatchReport> Index::UpsertMany(std::span<const ExternalId> ids, const LabelRows& labels,
                                      MatrixView rows, const BatchOptions& batch) {
  return impl_->UpsertMany(ids, rows, &labels, batch);
}
Status Index::Delete(ExternalId id) { return impl_->Delete(id); }
Result<BatchReport> Index::DeleteMany(std::span<const ExternalId> ids, const BatchOptions& batch) {
  return impl_->DeleteMany(ids, batch);
}
Status Index::Clear(const BatchOptions& batch) { return impl_->Clear(batch); }
Status Index::Consolidate(const BatchOptions& batch) { return impl_->Consolidate(batch); }
Result<size_t> Index::Compact(const BatchOptions& batch) { return impl_->Compact(batch); }
Status Index::Refine(const BatchOptions& batch) { return impl_->Refine(batch); }
Result<std::vector<Hit>> Index::Search(VectorView query, const SearchOptions& options) const {
  return impl_->Search(query, options);
}
Result<size_t> Index::Search(VectorView query, const SearchOptions& options,
                             std::span<ExternalId> ids, std::span<float> distances,
                             WorkCounters* work) const {
  return impl_->Search(query, options, ids, distances, work);
}
Status Index::SearchMany(MatrixView queries, const SearchOptions& options,
                         const SearchManyOutput& output, const BatchOptions& batch) const {
  return impl_->SearchMany(queries, options, output, batch);
}
Result<std::vector<Hit>> Index::RangeSearch(VectorView query, const RangeOptions& options,
                                            WorkCounters* work) const {
  return impl_->RangeSearch(query, options, work);
}
Result<RangeHits> Index::RangeSearchMany(MatrixView queries, const RangeOptions& options,
                                         const BatchOptions& batch) const {
  return RangeSearchBatch(queries, options, batch,
                          [&](VectorView query) { return RangeSearch(query, options); });
}
bool Index::Contains(ExternalId id) const { return impl_->Contains(id); }
Status Index::ContainsMany(std::span<const ExternalId> ids, std::span<uint8_t> contained) const {
  return impl_->ContainsMany(ids, contained);
}
Status Index::Get(ExternalId id, MutableVectorView vector) const { return impl_->Get(id, vector); }
Result<BatchReport> Index::GetMany(std::span<const ExternalId> ids, MutableMatrixView rows,
                                   const BatchOptions& batch) const {
  return impl_->GetMany(ids, rows, batch);
}
Result<std::vector<ExternalId>> Index::Ids() const { return impl_->Ids(); }
size_t Index::size() const { return impl_->size(); }
const IndexOptions& Index::options() const { return impl_->options(); }
Result<Calibration> Index::Calibrate(size_t k, double target, const BatchOptions& batch) {
  return impl_->Calibrate(k, target, batch);
}
std::optional<Calibration> Index::CalibrationFor(size_t k, double target) const {
  return impl_->CalibrationFor(k, target);
}
IndexStats Index::Stats() const { return impl_->Stats(); }
IndexDiagnostics Index::Diagnostics() const { return impl_->Diagnostics(); }
Status Index::CheckStructure() const { return impl_->CheckStructure(); }
Status Index::Save(const std::filesystem::path& path, const BatchOptions& batch,
                   const SaveOptions& options) const {
  return impl_->Save(path, batch, options);
}
Status Index::SaveWithoutVectors(const std::filesystem::path& path, const BatchOptions& batch,
                                 const SaveOptions& options) const {
  return impl_->SaveWithoutVectors(path, batch, options);
}
Status Index::SaveToFeatures(const std::filesystem::path& path, FeatureStore& to,
                             const BatchOptions& batch, const SaveOptions& options) const {
  return impl_->SaveToFeatures(path, to, batch, options);
}
Status Index::SaveTo(const ByteSink& sink, const BatchOptions& batch) const {
  return impl_->SaveTo(sink, batch);
}
Result<Index> Index::LoadFrom(const ByteSource& source, const LoadOptions& options) {
  return IndexImpl::LoadFrom(source, options);
}
Result<Index> Index::Load(const std::filesystem::path& path, const LoadOptions& options) {
  return IndexImpl::Load(path, options);
}
Result<Index> Index::LoadWithFeatures(const std::filesystem::path& path,
                                      std::unique_ptr<FeatureStore> store,
                                      const LoadOptions& options) {
  return IndexImpl::LoadWithFeatures(path, std::move(store), options);
}

}  // namespace shoal
