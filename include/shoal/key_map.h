// Keys of a program's own, texts or bytes (a UUID, say), for an index's ids; kept with the index.
//
//   shoal::KeyMap keys;
//   index->Upsert(*keys.Assign("red"), vector);
//   for (const shoal::Hit& hit : *index->Search(query)) Show(keys.KeyOf(hit.id));
//   keys.Save(*index, "colors.keyed");                     // one file, the index in it
//   auto again = shoal::LoadKeyed("colors.keyed");
//
//   auto keys = shoal::KeyMap::Read(database, "text");     // in a database: records that commit
//   const auto id = *keys->Assign("red");                  // with their points
//   change->Upsert(*index, id, vector);
//   keys->Put(*change, "text", "red");
//   change->Commit();
//
// Files and records are those of Python's KeyedIndex.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/database.h"
#include "shoal/export.h"
#include "shoal/index.h"
#include "shoal/result.h"

namespace shoal {

// A text, in UTF-8, or bytes. A text and bytes are never equal.
class PointKey {
 public:
  // Most bytes of one that a database keeps.
  static constexpr size_t kMaxStored = 499;

  // Implicit: a text is a key.
  PointKey(std::string_view text) : tagged_("s") { tagged_ += text; }      // NOLINT
  PointKey(const char* text) : PointKey(std::string_view(text)) {}         // NOLINT
  PointKey(const std::string& text) : PointKey(std::string_view(text)) {}  // NOLINT
  static PointKey OfBytes(std::span<const std::byte> bytes) {
    PointKey key("");
    key.tagged_[0] = 'b';
    key.tagged_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return key;
  }

  bool is_text() const { return tagged_[0] == 's'; }
  std::string_view data() const { return std::string_view{tagged_}.substr(1); }
  // 's' or 'b', then the data: what files and records have.
  const std::string& tagged() const { return tagged_; }
  bool operator==(const PointKey&) const = default;

 private:
  std::string tagged_;
};

struct KeyedIndex;

// Ids count up from 0, and are never used again. Any thread may call any function at any time, but
// for moving and destroying the map.
class SHOAL_API KeyMap {
 public:
  KeyMap();
  ~KeyMap();
  KeyMap(KeyMap&&) noexcept;
  KeyMap& operator=(KeyMap&&) noexcept;

  // The id of a key; one that has none gets the next. OutOfMemory.
  Result<ExternalId> Assign(const PointKey& key);
  std::optional<ExternalId> Find(const PointKey& key) const;
  // NotFound. OutOfMemory.
  Result<PointKey> KeyOf(ExternalId id) const;
  // Forgets a key. False: it had no id.
  bool Remove(const PointKey& key);
  size_t size() const;
  // What the next new key gets.
  ExternalId next_id() const;

  // Writes index and keys to one file, which is there whole or not at all. Writers of the index
  // should rest: keys and points are not of the same instant otherwise. Errors as Index::Save.
  Status Save(const Index& index, const std::filesystem::path& path) const;

  // The keys of a database's index, as the last commit left them; none where there are none. Io.
  // Corrupt. OutOfMemory. Conflict: as Database::Records.
  static Result<KeyMap> Read(const Database& database, std::string_view index);
  // The record of a key that has an id, to commit with its point. NotFound. InvalidArgument: longer
  // than PointKey::kMaxStored; the index's name is longer than 250 bytes.
  Status Put(Transaction& change, std::string_view index, const PointKey& key) const;
  // Has the record go, with its point. Call Remove once that is committed.
  static Status Delete(Transaction& change, std::string_view index, const PointKey& key);

 private:
  friend SHOAL_API Result<KeyedIndex> LoadKeyed(const std::filesystem::path& path,
                                                const LoadOptions& options);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct KeyedIndex {
  Index index;
  KeyMap keys;
};

// What KeyMap::Save wrote. Errors as Index::Load.
SHOAL_API Result<KeyedIndex> LoadKeyed(const std::filesystem::path& path,
                                       const LoadOptions& options = {});

}  // namespace shoal
