// What the files of the C interface share. Over the public C++ interface alone.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <type_traits>

#include "shoal/database.h"
#include "shoal/index.h"
#include "shoal/shoal.h"

// An index in memory, or one of a database.
struct shoal_index {
  std::optional<shoal::Index> own;
  std::optional<shoal::StoredIndex> stored;
  std::shared_ptr<shoal::Database> database;  // Of `stored`: begins its transactions.
  const shoal::Index& live() const { return own ? *own : stored->live(); }
};

struct shoal_database {
  std::shared_ptr<shoal::Database> database;
};

struct shoal_transaction {
  shoal::Transaction transaction;
};

namespace shoal::c {

int32_t Fail(const Error& reason, shoal_error* error);
int32_t Succeed(shoal_error* error);
int32_t CodeOf(const Status& status, shoal_error* error);
tl::unexpected<Error> Invalid(const char* message);
// Of the caller's struct, as Read takes it.
Result<RuntimeOptions> RuntimeOf(const shoal_index_options* options);
Result<IndexOptions> OptionsOf(const shoal_index_options* options);
VectorView VectorOf(const shoal_index& index, const void* vector);
MatrixView MatrixOf(const shoal_index& index, const void* rows, size_t n);

// The code of call(), which gives a Status. What C++'s own containers throw is an error, too.
template <class Call>
int32_t Guarded(shoal_error* error, const Call& call) {
  try {
    return CodeOf(call(), error);
  } catch (const std::bad_alloc&) {
    return Fail({ErrorCode::kOutOfMemory, "no memory"}, error);
  }
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

// A shoal_search_options as the library takes it, with the filter that it may point to.
class Search {
 public:
  static Result<Search> Of(size_t k, const shoal_search_options* options);
  // Valid as long as this.
  SearchOptions options() const {
    SearchOptions all = options_;
    all.filter = filter_ ? &*filter_ : nullptr;
    return all;
  }
  RangeOptions range(float radius) const {
    return {.radius = radius,
            .search_list_size = options_.search_list_size,
            .filter = filter_ ? &*filter_ : nullptr};
  }
  bool wants_work() const { return work_ != nullptr; }
  void Tell(const WorkCounters& work) const;

 private:
  SearchOptions options_;
  std::optional<Filter> filter_;
  shoal_work* work_ = nullptr;
};

// call(Index&) of a shoal_index, const or not, that is in memory. Unsupported: one of a database.
template <class Handle, class Call>
auto OnOwn(Handle& index, const Call& call) -> decltype(call(*index.own)) {
  if (index.own) return call(*index.own);
  return MakeError(ErrorCode::kUnsupported, "index: expected one in memory, found a database's");
}

// Rows of an index of a database, all of them in a transaction, or none. An error names the row.
enum class Verb : uint8_t { kInsert, kUpsert };
Result<BatchReport> CommitMany(shoal_index& index, std::span<const ExternalId> ids, MatrixView rows,
                               Verb verb, const BatchOptions& batch);

// The index that `made` has, as the caller's. May throw bad_alloc.
template <class Made>
Status Own(Result<Made> made, shoal_index** index) {
  if (!made) return tl::unexpected(made.error());
  auto owned = std::make_unique<shoal_index>();
  if constexpr (std::is_same_v<Made, Index>)
    owned->own.emplace(*std::move(made));
  else
    owned->stored.emplace(*std::move(made));
  *index = owned.release();
  return {};
}

}  // namespace shoal::c
