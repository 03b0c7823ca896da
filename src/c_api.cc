// The C interface: an index. Databases: c_api_database.cc.
#include "c_api.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "shoal/version.h"

namespace shoal::c {

static_assert(static_cast<int>(ErrorCode::kFileNotFound) + 1 == SHOAL_FILE_NOT_FOUND);
static_assert(static_cast<int>(ScalarType::kBit) == SHOAL_BIT);
static_assert(static_cast<int>(Metric::kHamming) == SHOAL_HAMMING);
static_assert(static_cast<int>(RepairPolicy::kManual) == SHOAL_REPAIR_MANUAL);

int32_t Fail(const Error& reason, shoal_error* error) {
  const int32_t code = static_cast<int32_t>(reason.code) + 1;
  if (error == nullptr) return code;
  error->code = code;
  const size_t length = std::min(reason.message.size(), sizeof(error->message) - 1);
  std::memcpy(error->message, reason.message.data(), length);
  error->message[length] = '\0';
  return code;
}

int32_t Succeed(shoal_error* error) {
  if (error != nullptr) {
    error->code = SHOAL_OK;
    error->message[0] = '\0';
  }
  return SHOAL_OK;
}

int32_t CodeOf(const Status& status, shoal_error* error) {
  return status ? Succeed(error) : Fail(status.error(), error);
}

tl::unexpected<Error> Invalid(const char* message) {
  return MakeError(ErrorCode::kInvalidArgument, message);
}

namespace {

Result<RuntimeOptions> RuntimeIn(const shoal_index_options& options) {
  if (options.repair < SHOAL_REPAIR_IMMEDIATE || options.repair > SHOAL_REPAIR_MANUAL)
    return Invalid("repair: no such number");
  return RuntimeOptions{.memory_limit = options.memory_limit,
                        .repair = static_cast<RepairPolicy>(options.repair),
                        .repair_threads = OrDefault(options.repair_threads, 1u),
                        .repair_share = OrDefault(options.repair_share, 100u)};
}

Result<Code> CodeNamed(const char* name, Code standard) {
  if (name == nullptr) return standard;
  if (const auto code = ParseCode(name)) return *code;
  return MakeError(ErrorCode::kInvalidArgument,
                   std::string("code: expected a name of CodeName, found ") + name);
}

Result<IndexOptions> OptionsIn(const shoal_index_options& options) {
  const auto in = [](int32_t value, int32_t last) { return value >= 0 && value <= last; };
  if (!in(options.scalar_type, SHOAL_BIT)) return Invalid("scalar_type: no such number");
  if (!in(options.metric, SHOAL_HAMMING)) return Invalid("metric: no such number");
  const Result<RuntimeOptions> runtime = RuntimeIn(options);
  if (!runtime) return tl::unexpected(runtime.error());
  const Result<Code> code = CodeNamed(options.code, Code::kAuto);
  if (!code) return tl::unexpected(code.error());
  const Result<Code> rerank_code = CodeNamed(options.rerank_code, Code::kFull);
  if (!rerank_code) return tl::unexpected(rerank_code.error());
  const IndexOptions standard;
  return IndexOptions{
      .dim = options.dim,
      .scalar_type = static_cast<ScalarType>(options.scalar_type),
      .metric = static_cast<Metric>(options.metric),
      .code = *code,
      .rerank_code = *rerank_code,
      .max_degree = OrDefault(options.max_degree, standard.max_degree),
      .build_list_size = OrDefault(options.build_list_size, standard.build_list_size),
      .alpha = OrDefault(options.alpha, standard.alpha),
      .runtime = *runtime};
}

}  // namespace

Result<RuntimeOptions> RuntimeOf(const shoal_index_options* options) {
  const Result<shoal_index_options> all = Read(options, "options");
  if (!all) return tl::unexpected(all.error());
  return RuntimeIn(*all);
}

Result<IndexOptions> OptionsOf(const shoal_index_options* options) {
  const Result<shoal_index_options> all = Read(options, "options");
  if (!all) return tl::unexpected(all.error());
  return OptionsIn(*all);
}

VectorView VectorOf(const shoal_index& index, const void* vector) {
  return {vector, index.live().options().scalar_type, index.live().options().dim};
}

MatrixView MatrixOf(const shoal_index& index, const void* rows, size_t n) {
  return {rows, index.live().options().scalar_type, n, index.live().options().dim};
}

Result<Search> Search::Of(size_t k, const shoal_search_options* options) {
  const Result<shoal_search_options> all = Read(options, "options");
  if (!all) return tl::unexpected(all.error());
  Search search;
  search.options_ = {.k = k,
                     .search_list_size = OrDefault<size_t>(all->list_size, 64),
                     .rerank = all->rerank,
                     .target_recall = all->target_recall};
  search.work_ = all->work;
  if (all->accept != nullptr)
    search.filter_ =
        Filter::Where([accept = all->accept, user = all->accept_user](
                          std::span<const ExternalId> ids, std::span<uint8_t> accepted) {
          accept(user, ids.data(), ids.size(), accepted.data());
        });
  return search;
}

void Search::Tell(const WorkCounters& work) const {
  if (work_ == nullptr) return;
  Write({.struct_size = 0,
         .reserved = 0,
         .distances = work.distances,
         .hops = work.hops,
         .reranked = work.reranked,
         .filter_checks = work.filter_checks},
        work_);
}

}  // namespace shoal::c

namespace c = shoal::c;
using shoal::BatchOptions;
using shoal::Status;

const char* shoal_version() { return shoal::Version().data(); }
uint32_t shoal_abi_version() { return 1; }

const char* shoal_code_name(int32_t code) {
  if (code == SHOAL_OK) return "OK";
  if (code < 0 || code > SHOAL_FILE_NOT_FOUND) return "";
  return shoal::ErrorCodeName(static_cast<shoal::ErrorCode>(code - 1)).data();
}

int32_t shoal_create(const shoal_index_options* options, shoal_index** index, shoal_error* error) {
  *index = nullptr;
  return c::Guarded(error, [&]() -> Status {
    const auto checked = c::OptionsOf(options);
    if (!checked) return tl::unexpected(checked.error());
    return c::Own(shoal::Index::Create(*checked), index);
  });
}

void shoal_destroy(shoal_index* index) { delete index; }

int32_t shoal_options(const shoal_index* index, shoal_index_options* options, shoal_error* error) {
  const shoal::IndexOptions& all = index->live().options();
  c::Write({.struct_size = 0,
            .dim = all.dim,
            .scalar_type = static_cast<int32_t>(all.scalar_type),
            .metric = static_cast<int32_t>(all.metric),
            .max_degree = all.max_degree,
            .build_list_size = all.build_list_size,
            .alpha = all.alpha,
            .repair = static_cast<int32_t>(all.runtime.repair),
            .repair_threads = all.runtime.repair_threads,
            .repair_share = all.runtime.repair_share,
            .memory_limit = all.runtime.memory_limit,
            .code = shoal::CodeName(all.code).data(),
            .rerank_code = shoal::CodeName(all.rerank_code).data()},
           options);
  return c::Succeed(error);
}

int32_t shoal_insert(shoal_index* index, uint64_t id, const void* vector, shoal_error* error) {
  const shoal::VectorView view = c::VectorOf(*index, vector);
  return c::CodeOf(index->own ? index->own->Insert(id, view) : index->stored->Insert(id, view),
                   error);
}

int32_t shoal_upsert(shoal_index* index, uint64_t id, const void* vector, shoal_error* error) {
  const shoal::VectorView view = c::VectorOf(*index, vector);
  return c::CodeOf(index->own ? index->own->Upsert(id, view) : index->stored->Upsert(id, view),
                   error);
}

int32_t shoal_delete(shoal_index* index, uint64_t id, shoal_error* error) {
  return c::CodeOf(index->own ? index->own->Delete(id) : index->stored->Delete(id), error);
}

int32_t shoal_insert_many(shoal_index* index, const uint64_t* ids, const void* vectors, size_t n,
                          const shoal_batch* batch, size_t* done, shoal_error* error) {
  return c::OnRows(batch, done, error, [&](const BatchOptions& options) {
    const shoal::MatrixView rows = c::MatrixOf(*index, vectors, n);
    if (index->own) return index->own->InsertMany({ids, n}, rows, options);
    return c::CommitMany(*index, {ids, n}, rows, c::Verb::kInsert, options);
  });
}

int32_t shoal_upsert_many(shoal_index* index, const uint64_t* ids, const void* vectors, size_t n,
                          const shoal_batch* batch, size_t* done, shoal_error* error) {
  return c::OnRows(batch, done, error, [&](const BatchOptions& options) {
    const shoal::MatrixView rows = c::MatrixOf(*index, vectors, n);
    if (index->own) return index->own->UpsertMany({ids, n}, rows, options);
    return c::CommitMany(*index, {ids, n}, rows, c::Verb::kUpsert, options);
  });
}

int32_t shoal_delete_many(shoal_index* index, const uint64_t* ids, size_t n,
                          const shoal_batch* batch, size_t* done, shoal_error* error) {
  return c::OnRows(batch, done, error, [&](const BatchOptions& options) {
    return c::OnOwn(*index, [&](shoal::Index& own) { return own.DeleteMany({ids, n}, options); });
  });
}

int32_t shoal_search(const shoal_index* index, const void* query, size_t k,
                     const shoal_search_options* options, uint64_t* ids, float* distances,
                     size_t* found, shoal_error* error) {
  *found = 0;
  const auto search = c::Search::Of(k, options);
  if (!search) return c::Fail(search.error(), error);
  shoal::WorkCounters work;
  const auto n = index->live().Search(c::VectorOf(*index, query), search->options(), {ids, k},
                                      {distances, distances == nullptr ? 0 : k},
                                      search->wants_work() ? &work : nullptr);
  search->Tell(work);
  if (!n) return c::Fail(n.error(), error);
  *found = *n;
  return c::Succeed(error);
}

int32_t shoal_search_many(const shoal_index* index, const void* queries, size_t n, size_t k,
                          const shoal_search_options* options, const shoal_batch* batch,
                          uint64_t* ids, float* distances, uint32_t* counts, shoal_error* error) {
  return c::Long(batch, error, [&](const BatchOptions& how) -> Status {
    const auto search = c::Search::Of(k, options);
    if (!search) return tl::unexpected(search.error());
    if (k != 0 && n > SIZE_MAX / k) return c::Invalid("n x k: more than memory can hold");
    std::vector<shoal::WorkCounters> work(search->wants_work() ? n : 0);
    const shoal::SearchManyOutput output{
        {ids, n * k}, {distances, distances == nullptr ? 0 : n * k}, {counts, n}, work};
    Status done =
        index->live().SearchMany(c::MatrixOf(*index, queries, n), search->options(), output, how);
    shoal::WorkCounters sum;
    for (const shoal::WorkCounters& one : work) sum += one;
    search->Tell(sum);
    return done;
  });
}

int32_t shoal_range_search(const shoal_index* index, const void* query, float radius,
                           const shoal_search_options* options, size_t capacity, uint64_t* ids,
                           float* distances, size_t* found, shoal_error* error) {
  *found = 0;
  return c::Guarded(error, [&]() -> Status {
    const auto search = c::Search::Of(1, options);
    if (!search) return tl::unexpected(search.error());
    shoal::WorkCounters work;
    const auto hits = index->live().RangeSearch(c::VectorOf(*index, query), search->range(radius),
                                                search->wants_work() ? &work : nullptr);
    search->Tell(work);
    if (!hits) return tl::unexpected(hits.error());
    *found = hits->size();
    for (size_t i = 0; i < std::min(capacity, hits->size()); ++i) {
      ids[i] = (*hits)[i].id;
      if (distances != nullptr) distances[i] = (*hits)[i].distance;
    }
    return {};
  });
}

int32_t shoal_range_search_many(const shoal_index* index, const void* queries, size_t n,
                                float radius, const shoal_search_options* options,
                                const shoal_batch* batch, size_t capacity, size_t* limits,
                                uint64_t* ids, float* distances, shoal_error* error) {
  return c::Long(batch, error, [&](const BatchOptions& how) -> Status {
    const auto search = c::Search::Of(1, options);
    if (!search) return tl::unexpected(search.error());
    const auto hits =
        index->live().RangeSearchMany(c::MatrixOf(*index, queries, n), search->range(radius), how);
    if (!hits) return tl::unexpected(hits.error());
    std::copy(hits->limits.begin(), hits->limits.end(), limits);
    const size_t written = std::min(capacity, hits->ids.size());
    std::copy_n(hits->ids.begin(), written, ids);
    if (distances != nullptr) std::copy_n(hits->distances.begin(), written, distances);
    return {};
  });
}

int32_t shoal_get(const shoal_index* index, uint64_t id, void* vector, shoal_error* error) {
  const shoal::IndexOptions& options = index->live().options();
  return c::CodeOf(index->live().Get(id, {vector, options.scalar_type, options.dim}), error);
}

int32_t shoal_get_many(const shoal_index* index, const uint64_t* ids, size_t n, void* vectors,
                       const shoal_batch* batch, size_t* done, shoal_error* error) {
  return c::OnRows(batch, done, error, [&](const BatchOptions& options) {
    const shoal::IndexOptions& all = index->live().options();
    return index->live().GetMany({ids, n}, {vectors, all.scalar_type, n, all.dim}, options);
  });
}

int shoal_contains(const shoal_index* index, uint64_t id) {
  return index->live().Contains(id) ? 1 : 0;
}

size_t shoal_size(const shoal_index* index) { return index->live().size(); }

int32_t shoal_ids(const shoal_index* index, size_t capacity, uint64_t* ids, size_t* found,
                  shoal_error* error) {
  *found = 0;
  const auto all = index->live().Ids();
  if (!all) return c::Fail(all.error(), error);
  *found = all->size();
  std::copy_n(all->begin(), std::min(capacity, all->size()), ids);
  return c::Succeed(error);
}

int32_t shoal_stats(const shoal_index* index, shoal_index_stats* stats, shoal_error* error) {
  const shoal::IndexStats all = index->live().Stats();
  c::Write({.struct_size = 0,
            .reserved = 0,
            .points = all.points,
            .edges = all.edges,
            .pending_repairs = all.pending_repairs,
            .bytes = all.memory.total(),
            .distances = all.work.distances,
            .hops = all.work.hops},
           stats);
  return c::Succeed(error);
}

int32_t shoal_clear(shoal_index* index, const shoal_batch* batch, shoal_error* error) {
  return c::Long(batch, error, [&](const BatchOptions& options) {
    return c::OnOwn(*index, [&](shoal::Index& own) { return own.Clear(options); });
  });
}

int32_t shoal_consolidate(shoal_index* index, const shoal_batch* batch, shoal_error* error) {
  return c::Long(batch, error, [&](const BatchOptions& options) {
    return c::OnOwn(*index, [&](shoal::Index& own) { return own.Consolidate(options); });
  });
}

int32_t shoal_compact(shoal_index* index, const shoal_batch* batch, size_t* bytes,
                      shoal_error* error) {
  return c::Long(batch, error, [&](const BatchOptions& options) -> Status {
    const auto freed = c::OnOwn(*index, [&](shoal::Index& own) { return own.Compact(options); });
    if (bytes != nullptr) *bytes = freed ? *freed : 0;
    if (!freed) return tl::unexpected(freed.error());
    return {};
  });
}

int32_t shoal_refine(shoal_index* index, const shoal_batch* batch, shoal_error* error) {
  return c::Long(batch, error, [&](const BatchOptions& options) {
    return c::OnOwn(*index, [&](shoal::Index& own) { return own.Refine(options); });
  });
}

int32_t shoal_save(const shoal_index* index, const char* path, const shoal_batch* batch,
                   shoal_error* error) {
  return c::Long(batch, error,
                 [&](const BatchOptions& options) { return index->live().Save(path, options); });
}

int32_t shoal_load(const char* path, const shoal_index_options* options, const shoal_batch* batch,
                   shoal_index** index, shoal_error* error) {
  *index = nullptr;
  return c::Long(batch, error, [&](const BatchOptions& how) -> Status {
    const auto runtime = c::RuntimeOf(options);
    if (!runtime) return tl::unexpected(runtime.error());
    return c::Own(shoal::Index::Load(path, {*runtime, how}), index);
  });
}

int32_t shoal_save_to(const shoal_index* index, int (*write)(void*, const void*, size_t),
                      void* user, shoal_error* error) {
  return c::Guarded(error, [&] {
    return index->live().SaveTo([&](std::span<const std::byte> piece) -> Status {
      if (write(user, piece.data(), piece.size()) == 0) return {};
      return shoal::MakeError(shoal::ErrorCode::kIo, "write: the caller's function failed");
    });
  });
}

int32_t shoal_load_from(int64_t (*read)(void*, void*, size_t), void* user,
                        const shoal_index_options* options, shoal_index** index,
                        shoal_error* error) {
  *index = nullptr;
  return c::Guarded(error, [&]() -> Status {
    const auto runtime = c::RuntimeOf(options);
    if (!runtime) return tl::unexpected(runtime.error());
    const shoal::ByteSource source = [&](std::span<std::byte> out) -> shoal::Result<size_t> {
      const int64_t n = read(user, out.data(), out.size());
      if (n >= 0) return static_cast<size_t>(n);
      return shoal::MakeError(shoal::ErrorCode::kIo, "read: the caller's function failed");
    };
    return c::Own(shoal::Index::LoadFrom(source, {.runtime = *runtime}), index);
  });
}
