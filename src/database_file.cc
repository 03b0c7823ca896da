#include "database_file.h"

#include <new>

#include "database_impl.h"

namespace shoal {

Result<std::vector<std::string>> ReadNames(Environment& environment) {
  const Result<ReadTxn> txn = environment.Read();
  if (!txn) return tl::unexpected(txn.error());
  std::vector<std::string> names;
  const Status read = EachIndexRecord(*txn, [&](const IndexRecord& record) -> Status {
    names.push_back(record.name);
    return {};
  });
  if (!read) return tl::unexpected(read.error());
  return names;
}

Result<DatabaseStats> ReadStats(Environment& environment) {
  const Result<EnvironmentStats> found = environment.Stat();
  if (!found) return tl::unexpected(found.error());
  const auto bytes = [&](Table table) { return found->table_bytes[static_cast<size_t>(table)]; };
  return DatabaseStats{.file_bytes = found->file_bytes,
                       .row_bytes = bytes(Table::kRows),
                       .graph_bytes = bytes(Table::kGraph),
                       .log_bytes = bytes(Table::kLog) + bytes(Table::kRuns),
                       .max_bytes = found->map_bytes,
                       .commits = found->last_txn,
                       .snapshots = found->readers,
                       .oldest_lag = found->last_txn - found->oldest_reader,
                       .written_bytes = found->written_bytes};
}

Result<DatabaseInfo> InspectDatabase(const std::filesystem::path& path) {
  try {
    const Result<std::shared_ptr<Environment>> environment = Environment::Open(path, {});
    if (!environment) return tl::unexpected(environment.error());
    Result<std::vector<std::string>> names = ReadNames(**environment);
    if (!names) return tl::unexpected(names.error());
    const Result<DatabaseStats> stats = ReadStats(**environment);
    if (!stats) return tl::unexpected(stats.error());
    return DatabaseInfo{*std::move(names), *stats};
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, path.string() + ": names of indexes");
  }
}

Status BackupDatabase(const std::filesystem::path& path, const std::filesystem::path& to,
                      Database::Copy copy, const BatchOptions& batch) {
  try {
    const Result<std::shared_ptr<Environment>> environment = Environment::Open(path, {});
    if (!environment) return tl::unexpected(environment.error());
    return (*environment)->Copy(to, copy == Database::Copy::kCompact, batch);
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, path.string() + ": copy");
  }
}

}  // namespace shoal
