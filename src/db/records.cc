#include "db/records.h"

#include "base/mismatch.h"

namespace shoal {
namespace {

constexpr size_t kMaxKeyBytes = 511;  // LMDB's, as Debian builds it.
constexpr std::string_view kOwnTables = "shoal";

Bytes BytesOf(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string TextOf(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Status CheckRecord(std::string_view table, std::string_view key) {
  if (table.empty() || table.substr(0, kOwnTables.size()) == kOwnTables ||
      table.find('\0') != std::string_view::npos)
    return Mismatch(ErrorCode::kInvalidArgument, "table", "a name that does not begin with shoal",
                    table.empty() ? "nothing" : table);
  if (key.empty() || key.size() > kMaxKeyBytes)
    return Mismatch(ErrorCode::kInvalidArgument, "key", "1 to 511 bytes",
                    std::to_string(key.size()));
  return {};
}

Status WriteRecords(WriteTxn& txn, std::span<const RecordChange> changes) {
  for (const RecordChange& change : changes) {
    std::optional<Bytes> value;
    if (change.value) value = BytesOf(*change.value);
    if (Status ok = txn.ChangeUser(change.table, BytesOf(change.key), value); !ok) return ok;
  }
  return {};
}

Result<std::vector<Record>> ReadRecords(const WriteTxn& txn, std::string_view table) {
  std::vector<Record> records;
  const Status scanned = txn.ScanUser(std::string(table), [&](Bytes key, Bytes value) {
    records.push_back({TextOf(key), TextOf(value)});
  });
  if (!scanned) return tl::unexpected(scanned.error());
  return records;
}

}  // namespace shoal
