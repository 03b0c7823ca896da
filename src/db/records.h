// Records of the user's own, in LMDB tables beside the database's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/environment.h"
#include "shoal/database.h"
#include "shoal/result.h"

namespace shoal {

// A record that a transaction puts, or deletes.
struct RecordChange {
  std::string table;
  std::string key;
  std::optional<std::string> value;  // None: it goes.
};

// InvalidArgument: a table or a key that cannot be.
Status CheckRecord(std::string_view table, std::string_view key);

// In this order. Io.
Status WriteRecords(WriteTxn& txn, std::span<const RecordChange> changes);

// All of a table, ascending; none where there is no such table. Io. May throw bad_alloc.
Result<std::vector<Record>> ReadRecords(const WriteTxn& txn, std::string_view table);

}  // namespace shoal
