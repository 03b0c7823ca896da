// The C interface: databases.
#include <memory>
#include <string>

#include "c_api.h"
#include "shoal/database.h"

namespace shoal::c {

static_assert(static_cast<int>(SyncLevel::kNone) == SHOAL_SYNC_NONE);

namespace {

Result<DatabaseOptions> DatabaseOptionsOf(const shoal_database_options* options) {
  const Result<shoal_database_options> all = Read(options, "options");
  if (!all) return tl::unexpected(all.error());
  if (all->sync < SHOAL_SYNC_FULL || all->sync > SHOAL_SYNC_NONE)
    return Invalid("sync: no such number");
  const DatabaseOptions standard;
  return DatabaseOptions{.create = all->must_exist == 0,
                         .sync = static_cast<SyncLevel>(all->sync),
                         .interval_ms = OrDefault(all->interval_ms, standard.interval_ms),
                         .max_bytes = OrDefault(all->max_bytes, standard.max_bytes),
                         .max_readers = OrDefault(all->max_readers, standard.max_readers)};
}

Status OwnStored(const shoal_database& database, Result<StoredIndex> made, shoal_index** index) {
  if (Status ok = Own(std::move(made), index); !ok) return ok;
  (*index)->database = database.database;
  return {};
}

// A change of one point.
template <class Call>
int32_t Change(const shoal_index& index, shoal_error* error, const Call& call) {
  return Guarded(error, [&]() -> Status {
    if (!index.stored) return Invalid("index: expected a database's, found one in memory");
    return call(*index.stored);
  });
}

// Changes of many points.
template <class Call>
Result<BatchReport> ManyOf(const shoal_index& index, const Call& call) {
  if (!index.stored) return Invalid("index: expected a database's, found one in memory");
  return call(*index.stored);
}

}  // namespace

Result<BatchReport> CommitMany(shoal_index& index, std::span<const ExternalId> ids, MatrixView rows,
                               Verb verb, const BatchOptions& batch) {
  Result<Transaction> change = index.database->Begin();
  if (!change) return tl::unexpected(change.error());
  Result<BatchReport> report = verb == Verb::kInsert
                                   ? change->InsertMany(*index.stored, ids, rows, batch)
                                   : change->UpsertMany(*index.stored, ids, rows, batch);
  if (!report) return report;
  if (!report->status) return tl::unexpected(report->status.error());
  if (!report->failures.empty()) {
    const BatchReport::Failure& first = report->failures.front();
    return MakeError(first.error.code,
                     "row " + std::to_string(first.row) + ": " + first.error.message);
  }
  if (Status committed = change->Commit(); !committed) return tl::unexpected(committed.error());
  return report;
}

}  // namespace shoal::c

namespace c = shoal::c;
using shoal::Status;

int32_t shoal_database_open(const char* path, const shoal_database_options* options,
                            shoal_database** database, shoal_error* error) {
  *database = nullptr;
  return c::Guarded(error, [&]() -> Status {
    const auto all = c::DatabaseOptionsOf(options);
    if (!all) return tl::unexpected(all.error());
    shoal::Result<shoal::Database> opened = shoal::Database::Open(path, *all);
    if (!opened) return tl::unexpected(opened.error());
    auto shared = std::make_shared<shoal::Database>(*std::move(opened));
    *database = new shoal_database{std::move(shared)};
    return {};
  });
}

void shoal_database_close(shoal_database* database) { delete database; }

int32_t shoal_database_create_index(shoal_database* database, const char* name,
                                    const shoal_index_options* options, shoal_index** index,
                                    shoal_error* error) {
  *index = nullptr;
  return c::Guarded(error, [&]() -> Status {
    const auto checked = c::OptionsOf(options);
    if (!checked) return tl::unexpected(checked.error());
    return c::OwnStored(*database, database->database->CreateIndex(name, *checked), index);
  });
}

int32_t shoal_database_open_index(shoal_database* database, const char* name,
                                  const shoal_index_options* options, const shoal_batch* batch,
                                  shoal_index** index, shoal_error* error) {
  *index = nullptr;
  return c::Long(batch, error, [&](const shoal::BatchOptions& how) -> Status {
    const auto runtime = c::RuntimeOf(options);
    if (!runtime) return tl::unexpected(runtime.error());
    return c::OwnStored(*database, database->database->OpenIndex(name, {*runtime, how}), index);
  });
}

int32_t shoal_database_flush(shoal_database* database, shoal_error* error) {
  return c::CodeOf(database->database->Flush(), error);
}

int32_t shoal_database_backup(const shoal_database* database, const char* path,
                              shoal_error* error) {
  return c::Guarded(error, [&] { return database->database->Backup(path); });
}

int32_t shoal_begin(shoal_database* database, shoal_transaction** transaction, shoal_error* error) {
  *transaction = nullptr;
  return c::Guarded(error, [&]() -> Status {
    shoal::Result<shoal::Transaction> begun = database->database->Begin();
    if (!begun) return tl::unexpected(begun.error());
    *transaction = new shoal_transaction{*std::move(begun)};
    return {};
  });
}

int32_t shoal_transaction_insert(shoal_transaction* transaction, shoal_index* index, uint64_t id,
                                 const void* vector, shoal_error* error) {
  return c::Change(*index, error, [&](const shoal::StoredIndex& stored) {
    return transaction->transaction.Insert(stored, id, c::VectorOf(*index, vector));
  });
}

int32_t shoal_transaction_upsert(shoal_transaction* transaction, shoal_index* index, uint64_t id,
                                 const void* vector, shoal_error* error) {
  return c::Change(*index, error, [&](const shoal::StoredIndex& stored) {
    return transaction->transaction.Upsert(stored, id, c::VectorOf(*index, vector));
  });
}

int32_t shoal_transaction_delete(shoal_transaction* transaction, shoal_index* index, uint64_t id,
                                 shoal_error* error) {
  return c::Change(*index, error, [&](const shoal::StoredIndex& stored) {
    return transaction->transaction.Delete(stored, id);
  });
}

int32_t shoal_transaction_insert_many(shoal_transaction* transaction, shoal_index* index,
                                      const uint64_t* ids, const void* vectors, size_t n,
                                      const shoal_batch* batch, size_t* done, shoal_error* error) {
  return c::OnRows(batch, done, error, [&](const shoal::BatchOptions& options) {
    return c::ManyOf(*index, [&](const shoal::StoredIndex& stored) {
      return transaction->transaction.InsertMany(stored, {ids, n}, c::MatrixOf(*index, vectors, n),
                                                 options);
    });
  });
}

int32_t shoal_transaction_upsert_many(shoal_transaction* transaction, shoal_index* index,
                                      const uint64_t* ids, const void* vectors, size_t n,
                                      const shoal_batch* batch, size_t* done, shoal_error* error) {
  return c::OnRows(batch, done, error, [&](const shoal::BatchOptions& options) {
    return c::ManyOf(*index, [&](const shoal::StoredIndex& stored) {
      return transaction->transaction.UpsertMany(stored, {ids, n}, c::MatrixOf(*index, vectors, n),
                                                 options);
    });
  });
}

int32_t shoal_transaction_commit(shoal_transaction* transaction, shoal_error* error) {
  const std::unique_ptr<shoal_transaction> owned(transaction);
  return c::CodeOf(owned->transaction.Commit(), error);
}

void shoal_transaction_abort(shoal_transaction* transaction) { delete transaction; }
