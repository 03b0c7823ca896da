#include "apps/shoal/place.h"

#include <fmt/format.h>

#include <cstring>
#include <fstream>

namespace shoal::apps {
namespace {

tl::unexpected<Error> Invalid(std::string message) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message));
}

}  // namespace

// LMDB's number, behind the head of its first page.
bool IsDatabase(const std::string& file) {
  constexpr uint32_t kLmdb = 0xbeefc0de;
  std::ifstream in(file, std::ios::binary);
  char head[20] = {};
  uint32_t number = 0;
  if (!in.read(head, sizeof(head))) return false;
  std::memcpy(&number, head + 16, sizeof(number));
  return number == kLmdb;
}

Result<std::string> IndexNameOf(const Place& place) {
  if (!IsDatabase(place.file)) {
    if (place.index.empty()) return std::string();
    return Invalid(place.file + ": --index: expected a database, found none");
  }
  if (!place.index.empty()) return place.index;
  const Result<DatabaseInfo> info = InspectDatabase(place.file);
  if (!info) return tl::unexpected(info.error());
  if (info->indexes.size() == 1) return info->indexes.front();
  std::string names;
  for (const std::string& name : info->indexes) names += (names.empty() ? "" : ", ") + name;
  return Invalid(fmt::format("{}: --index: expected the name of one of {} indexes, found none{}{}",
                             place.file, info->indexes.size(), names.empty() ? "" : ": ", names));
}

Result<Source> Source::Open(const Place& place) {
  const Result<std::string> name = IndexNameOf(place);
  if (!name) return tl::unexpected(name.error());
  if (name->empty()) {
    Result<IndexView> view = IndexView::Open(place.file);
    if (!view) return tl::unexpected(view.error());
    return Source(*std::move(view));
  }
  Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(place.file, *name);
  if (!snapshot) return tl::unexpected(snapshot.error());
  return Source(*std::move(snapshot));
}

const IndexOptions& Source::options() const {
  return std::visit([](const auto& of) -> const IndexOptions& { return of.options(); }, of_);
}
size_t Source::size() const {
  return std::visit([](const auto& of) { return of.size(); }, of_);
}
Result<std::vector<uint64_t>> Source::Ids() const {
  if (const auto* stored = std::get_if<DatabaseSnapshot>(&of_)) return stored->Ids();
  const std::span<const uint64_t> ids = std::get<IndexView>(of_).ids();
  return std::vector<uint64_t>(ids.begin(), ids.end());
}
Status Source::Get(uint64_t id, MutableVectorView vector) const {
  return std::visit([&](const auto& of) { return of.Get(id, vector); }, of_);
}
Status Source::SearchMany(MatrixView queries, const SearchOptions& options,
                          const SearchManyOutput& output, const BatchOptions& batch) const {
  return std::visit([&](const auto& of) { return of.SearchMany(queries, options, output, batch); },
                    of_);
}
Result<std::vector<Hit>> Source::RangeSearch(VectorView query, const RangeOptions& options) const {
  return std::visit([&](const auto& of) { return of.RangeSearch(query, options); }, of_);
}

Result<Target> Target::Open(const Place& place, size_t threads) {
  const Result<std::string> name = IndexNameOf(place);
  if (!name) return tl::unexpected(name.error());
  const LoadOptions load{.batch = {.threads = threads}};
  Target target(place.file);
  if (name->empty()) {
    Result<Index> index = Index::Load(place.file, load);
    if (!index) return tl::unexpected(index.error());
    target.loaded_ = *std::move(index);
    return target;
  }
  Result<Database> database = Database::Open(place.file, {.create = false});
  if (!database) return tl::unexpected(database.error());
  Result<StoredIndex> index = database->OpenIndex(*name, load);
  if (!index) return tl::unexpected(index.error());
  Result<Transaction> change = database->Begin();
  if (!change) return tl::unexpected(change.error());
  target.stored_.reset(new Stored{*std::move(database), *std::move(index), *std::move(change)});
  return target;
}

Result<BatchReport> Target::Insert(std::span<const uint64_t> ids, MatrixView rows,
                                   const BatchOptions& batch) {
  if (stored_) return stored_->change.InsertMany(stored_->index, ids, rows, batch);
  return loaded_->InsertMany(ids, rows, batch);
}

Result<BatchReport> Target::Upsert(std::span<const uint64_t> ids, MatrixView rows,
                                   const BatchOptions& batch) {
  if (stored_) return stored_->change.UpsertMany(stored_->index, ids, rows, batch);
  return loaded_->UpsertMany(ids, rows, batch);
}

Result<BatchReport> Target::Delete(std::span<const uint64_t> ids) {
  if (!stored_) return loaded_->DeleteMany(ids);
  BatchReport report;
  for (size_t i = 0; i < ids.size(); ++i) {
    const Status gone = stored_->change.Delete(stored_->index, ids[i]);
    if (gone)
      ++report.done;
    else
      report.failures.push_back({i, gone.error()});
  }
  return report;
}

Status Target::Finish() { return stored_ ? stored_->change.Commit() : loaded_->Save(file_); }

}  // namespace shoal::apps
