// Vectors in a table of an SQLite database, keyed by the user's own ids: a feature store.
#include <sqlite3.h>

#include <cstring>

#include "shoal/testing/feature_store_conformance.h"

using namespace shoal;  // NOLINT(google-build-using-namespace): an example of one screen.

struct SqliteStore final : FeatureStore {
  SqliteStore(const char* path, size_t row_bytes) : bytes(row_bytes) {
    sqlite3_open(path, &db);  // A connection may be used by all threads.
    (void)Run("create table if not exists rows (id, slot, row, primary key (id, slot))", {});
  }
  ~SqliteStore() override { sqlite3_close(db); }
  size_t row_bytes() const override { return bytes; }
  Status Put(FeatureKey key, const std::byte* row) override {
    const Result<bool> put = Run("insert or replace into rows values (?, ?, ?)", key, row);
    return put ? Status() : tl::unexpected(put.error());
  }
  void Free(FeatureKey key) override { (void)Run("delete from rows where id=? and slot=?", key); }
  Result<std::unique_ptr<FeatureReader>> NewReader(size_t max_rows) override {
    return std::make_unique<Reader>(*this, max_rows);
  }

  struct Reader final : FeatureReader {
    Reader(SqliteStore& s, size_t max_rows) : store(s), buffer(max_rows * s.bytes) {}
    Result<size_t> Fetch(std::span<const FeatureKey> keys,
                         std::span<const std::byte*> rows) override {
      for (size_t i = 0; i < keys.size(); ++i) {
        std::byte* const to = &buffer[i * store.bytes];  // A place of its own for each row.
        const auto found = store.Run("select row from rows where id=? and slot=?", keys[i], {}, to);
        if (!found) return tl::unexpected(found.error());
        rows[i] = *found ? to : nullptr;
      }
      return keys.size() - static_cast<size_t>(std::ranges::count(rows, nullptr));
    }
    SqliteStore& store;
    std::vector<std::byte> buffer;
  };

  // A statement, which is a transaction. in: its third parameter. Whether it gave a row, to out.
  Result<bool> Run(const char* sql, FeatureKey key, const void* in = nullptr, void* out = nullptr) {
    sqlite3_stmt* statement = nullptr;
    sqlite3_prepare_v2(db, sql, -1, &statement, nullptr);
    sqlite3_bind_int64(statement, 1, static_cast<sqlite3_int64>(key.id));
    sqlite3_bind_int64(statement, 2, key.slot);
    sqlite3_bind_blob(statement, 3, in, static_cast<int>(bytes), SQLITE_STATIC);
    const bool found = sqlite3_step(statement) == SQLITE_ROW;
    if (found && out) std::memcpy(out, sqlite3_column_blob(statement, 0), bytes);
    if (sqlite3_finalize(statement) == SQLITE_OK) return found;
    return MakeError(ErrorCode::kIo, sqlite3_errmsg(db));
  }
  const size_t bytes;
  sqlite3* db = nullptr;
};
int main() {
  return testing::PrintFeatureStoreChecks(
      {.row_bytes = 512, .make = [] { return std::make_unique<SqliteStore>(":memory:", 512); }});
}
