// The C interface, over the public C++ one alone.
#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "shoal/index.h"
#include "shoal/shoal.h"
#include "shoal/version.h"

struct shoal_index {
  shoal::Index index;
};

namespace shoal {
namespace {

static_assert(static_cast<int>(ErrorCode::kCancelled) + 1 == SHOAL_CANCELLED);
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

// The code of call(), which gives a Status. What C++'s own containers throw is an error, too.
template <class Call>
int32_t Guarded(shoal_error* error, const Call& call) {
  try {
    return CodeOf(call(), error);
  } catch (const std::bad_alloc&) {
    return Fail({ErrorCode::kOutOfMemory, "no memory"}, error);
  }
}

tl::unexpected<Error> Invalid(const char* message) {
  return MakeError(ErrorCode::kInvalidArgument, message);
}

// The caller's struct, which may be an older one: what it lacks is 0. NULL: all is 0.
// Unsupported: a newer one that says what this library does not know.
template <class Sized>
Result<Sized> Read(const Sized* from, const char* name) {
  Sized all{};
  if (from == nullptr) return all;
  const size_t size = from->struct_size;
  if (size < 2 * sizeof(uint32_t))
    return MakeError(
        ErrorCode::kInvalidArgument,
        std::string(name) + ".struct_size: expected its size, found " + std::to_string(size));
  std::memcpy(&all, from, std::min(size, sizeof(Sized)));
  const char* beyond = reinterpret_cast<const char*>(from) + sizeof(Sized);
  if (size > sizeof(Sized) &&
      std::any_of(beyond, beyond + (size - sizeof(Sized)), [](char byte) { return byte != 0; }))
    return MakeError(ErrorCode::kUnsupported,
                     std::string(name) + ": has fields that this library does not know");
  return all;
}

// As many bytes of `all` as the caller's struct has.
template <class Sized>
void Write(Sized all, Sized* to) {
  const auto size = static_cast<uint32_t>(std::min<size_t>(to->struct_size, sizeof(Sized)));
  all.struct_size = to->struct_size;
  std::memcpy(to, &all, size);
}

template <class T>
T OrDefault(T value, T standard) {
  return value == T{} ? standard : value;
}

Result<RuntimeOptions> RuntimeOf(const shoal_index_options& options) {
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

Result<IndexOptions> OptionsOf(const shoal_index_options& options) {
  const auto in = [](int32_t value, int32_t last) { return value >= 0 && value <= last; };
  if (!in(options.scalar_type, SHOAL_BIT)) return Invalid("scalar_type: no such number");
  if (!in(options.metric, SHOAL_HAMMING)) return Invalid("metric: no such number");
  const Result<RuntimeOptions> runtime = RuntimeOf(options);
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

Result<SearchOptions> SearchOptionsOf(size_t k, const shoal_search_options* options) {
  const Result<shoal_search_options> all = Read(options, "options");
  if (!all) return tl::unexpected(all.error());
  return SearchOptions{
      .k = k, .search_list_size = OrDefault<size_t>(all->list_size, 64), .rerank = all->rerank};
}

// A shoal_batch as the library takes it. It must outlive the call.
class Batch {
 public:
  static Result<Batch> Of(const shoal_batch* batch) {
    const Result<shoal_batch> all = Read(batch, "batch");
    if (!all) return tl::unexpected(all.error());
    return Batch(*all);
  }

  BatchOptions options() {
    BatchOptions options{.threads = batch_.threads, .stop = stop_.get_token()};
    if (batch_.progress != nullptr)
      options.progress = [this](size_t done, size_t total) {
        if (batch_.progress(batch_.user, done, total) != 0) stop_.request_stop();
      };
    return options;
  }

  // Tells of the rows that failed, and how many are done.
  Status Tell(const Result<BatchReport>& report, size_t* done) const {
    if (done != nullptr) *done = report ? report->done : 0;
    if (!report) return tl::unexpected(report.error());
    for (const BatchReport::Failure& failure : report->failures)
      if (batch_.failed != nullptr)
        batch_.failed(batch_.user, failure.row, static_cast<int32_t>(failure.error.code) + 1,
                      failure.error.message.c_str());
    return report->status;
  }

 private:
  explicit Batch(const shoal_batch& batch) : batch_(batch) {}
  shoal_batch batch_;
  std::stop_source stop_;
};

VectorView VectorOf(const shoal_index& index, const void* vector) {
  return {vector, index.index.options().scalar_type, index.index.options().dim};
}

MatrixView MatrixOf(const shoal_index& index, const void* rows, size_t n) {
  return {rows, index.index.options().scalar_type, n, index.index.options().dim};
}

// call(BatchOptions) of a long call without rows.
template <class Call>
int32_t Long(const shoal_batch* batch, shoal_error* error, const Call& call) {
  return Guarded(error, [&]() -> Status {
    Result<Batch> how = Batch::Of(batch);
    if (!how) return tl::unexpected(how.error());
    return call(how->options());
  });
}

// The same of one with rows, which gives a report.
template <class Call>
int32_t OnRows(const shoal_batch* batch, size_t* done, shoal_error* error, const Call& call) {
  return Guarded(error, [&]() -> Status {
    Result<Batch> how = Batch::Of(batch);
    if (!how) return tl::unexpected(how.error());
    return how->Tell(call(how->options()), done);
  });
}

Status Own(Result<Index> made, shoal_index** index) {
  if (!made) return tl::unexpected(made.error());
  *index = new shoal_index{*std::move(made)};
  return {};
}

}  // namespace
}  // namespace shoal

using shoal::BatchOptions;
using shoal::Status;

const char* shoal_version() { return shoal::Version().data(); }
uint32_t shoal_abi_version() { return 1; }

const char* shoal_code_name(int32_t code) {
  if (code == SHOAL_OK) return "OK";
  if (code < 0 || code > SHOAL_CANCELLED) return "";
  return shoal::ErrorCodeName(static_cast<shoal::ErrorCode>(code - 1)).data();
}

int32_t shoal_create(const shoal_index_options* options, shoal_index** index, shoal_error* error) {
  *index = nullptr;
  return shoal::Guarded(error, [&]() -> Status {
    const auto all = shoal::Read(options, "options");
    if (!all) return tl::unexpected(all.error());
    const auto checked = shoal::OptionsOf(*all);
    if (!checked) return tl::unexpected(checked.error());
    return shoal::Own(shoal::Index::Create(*checked), index);
  });
}

void shoal_destroy(shoal_index* index) { delete index; }

int32_t shoal_options(const shoal_index* index, shoal_index_options* options, shoal_error* error) {
  const shoal::IndexOptions& all = index->index.options();
  shoal::Write({.struct_size = 0,
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
  return shoal::Succeed(error);
}

int32_t shoal_insert(shoal_index* index, uint64_t id, const void* vector, shoal_error* error) {
  return shoal::CodeOf(index->index.Insert(id, shoal::VectorOf(*index, vector)), error);
}

int32_t shoal_upsert(shoal_index* index, uint64_t id, const void* vector, shoal_error* error) {
  return shoal::CodeOf(index->index.Upsert(id, shoal::VectorOf(*index, vector)), error);
}

int32_t shoal_delete(shoal_index* index, uint64_t id, shoal_error* error) {
  return shoal::CodeOf(index->index.Delete(id), error);
}

int32_t shoal_insert_many(shoal_index* index, const uint64_t* ids, const void* vectors, size_t n,
                          const shoal_batch* batch, size_t* done, shoal_error* error) {
  return shoal::OnRows(batch, done, error, [&](const BatchOptions& options) {
    return index->index.InsertMany({ids, n}, shoal::MatrixOf(*index, vectors, n), options);
  });
}

int32_t shoal_upsert_many(shoal_index* index, const uint64_t* ids, const void* vectors, size_t n,
                          const shoal_batch* batch, size_t* done, shoal_error* error) {
  return shoal::OnRows(batch, done, error, [&](const BatchOptions& options) {
    return index->index.UpsertMany({ids, n}, shoal::MatrixOf(*index, vectors, n), options);
  });
}

int32_t shoal_delete_many(shoal_index* index, const uint64_t* ids, size_t n,
                          const shoal_batch* batch, size_t* done, shoal_error* error) {
  return shoal::OnRows(batch, done, error, [&](const BatchOptions& options) {
    return index->index.DeleteMany({ids, n}, options);
  });
}

int32_t shoal_search(const shoal_index* index, const void* query, size_t k,
                     const shoal_search_options* options, uint64_t* ids, float* distances,
                     size_t* found, shoal_error* error) {
  *found = 0;
  const auto search = shoal::SearchOptionsOf(k, options);
  if (!search) return shoal::Fail(search.error(), error);
  const auto n = index->index.Search(shoal::VectorOf(*index, query), *search, {ids, k},
                                     {distances, distances == nullptr ? 0 : k});
  if (!n) return shoal::Fail(n.error(), error);
  *found = *n;
  return shoal::Succeed(error);
}

int32_t shoal_search_many(const shoal_index* index, const void* queries, size_t n, size_t k,
                          const shoal_search_options* options, const shoal_batch* batch,
                          uint64_t* ids, float* distances, uint32_t* counts, shoal_error* error) {
  return shoal::Long(batch, error, [&](const BatchOptions& how) -> Status {
    const auto search = shoal::SearchOptionsOf(k, options);
    if (!search) return tl::unexpected(search.error());
    if (k != 0 && n > SIZE_MAX / k) return shoal::Invalid("n x k: more than memory can hold");
    const shoal::SearchManyOutput output{
        {ids, n * k}, {distances, distances == nullptr ? 0 : n * k}, {counts, n}};
    return index->index.SearchMany(shoal::MatrixOf(*index, queries, n), *search, output, how);
  });
}

int32_t shoal_range_search(const shoal_index* index, const void* query, float radius,
                           const shoal_search_options* options, size_t capacity, uint64_t* ids,
                           float* distances, size_t* found, shoal_error* error) {
  *found = 0;
  return shoal::Guarded(error, [&]() -> Status {
    const auto search = shoal::SearchOptionsOf(1, options);
    if (!search) return tl::unexpected(search.error());
    const auto hits =
        index->index.RangeSearch(shoal::VectorOf(*index, query),
                                 {.radius = radius, .search_list_size = search->search_list_size});
    if (!hits) return tl::unexpected(hits.error());
    *found = hits->size();
    for (size_t i = 0; i < std::min(capacity, hits->size()); ++i) {
      ids[i] = (*hits)[i].id;
      if (distances != nullptr) distances[i] = (*hits)[i].distance;
    }
    return {};
  });
}

int32_t shoal_get(const shoal_index* index, uint64_t id, void* vector, shoal_error* error) {
  const shoal::IndexOptions& options = index->index.options();
  return shoal::CodeOf(index->index.Get(id, {vector, options.scalar_type, options.dim}), error);
}

int shoal_contains(const shoal_index* index, uint64_t id) {
  return index->index.Contains(id) ? 1 : 0;
}

size_t shoal_size(const shoal_index* index) { return index->index.size(); }

int32_t shoal_ids(const shoal_index* index, size_t capacity, uint64_t* ids, size_t* found,
                  shoal_error* error) {
  *found = 0;
  const auto all = index->index.Ids();
  if (!all) return shoal::Fail(all.error(), error);
  *found = all->size();
  std::copy_n(all->begin(), std::min(capacity, all->size()), ids);
  return shoal::Succeed(error);
}

int32_t shoal_stats(const shoal_index* index, shoal_index_stats* stats, shoal_error* error) {
  const shoal::IndexStats all = index->index.Stats();
  shoal::Write({.struct_size = 0,
                .reserved = 0,
                .points = all.points,
                .edges = all.edges,
                .pending_repairs = all.pending_repairs,
                .bytes = all.memory.total(),
                .distances = all.work.distances,
                .hops = all.work.hops},
               stats);
  return shoal::Succeed(error);
}

int32_t shoal_clear(shoal_index* index, const shoal_batch* batch, shoal_error* error) {
  return shoal::Long(batch, error,
                     [&](const BatchOptions& options) { return index->index.Clear(options); });
}

int32_t shoal_consolidate(shoal_index* index, const shoal_batch* batch, shoal_error* error) {
  return shoal::Long(
      batch, error, [&](const BatchOptions& options) { return index->index.Consolidate(options); });
}

int32_t shoal_compact(shoal_index* index, const shoal_batch* batch, size_t* bytes,
                      shoal_error* error) {
  return shoal::Long(batch, error, [&](const BatchOptions& options) -> Status {
    const auto freed = index->index.Compact(options);
    if (bytes != nullptr) *bytes = freed ? *freed : 0;
    if (!freed) return tl::unexpected(freed.error());
    return {};
  });
}

int32_t shoal_refine(shoal_index* index, const shoal_batch* batch, shoal_error* error) {
  return shoal::Long(batch, error,
                     [&](const BatchOptions& options) { return index->index.Refine(options); });
}

int32_t shoal_save(const shoal_index* index, const char* path, const shoal_batch* batch,
                   shoal_error* error) {
  return shoal::Long(batch, error,
                     [&](const BatchOptions& options) { return index->index.Save(path, options); });
}

int32_t shoal_load(const char* path, const shoal_index_options* options, const shoal_batch* batch,
                   shoal_index** index, shoal_error* error) {
  *index = nullptr;
  return shoal::Long(batch, error, [&](const BatchOptions& how) -> Status {
    const auto all = shoal::Read(options, "options");
    if (!all) return tl::unexpected(all.error());
    const auto runtime = shoal::RuntimeOf(*all);
    if (!runtime) return tl::unexpected(runtime.error());
    return shoal::Own(shoal::Index::Load(path, {*runtime, how}), index);
  });
}
