// Keys in memory, in a file behind a snapshot, and in a database's records.
//
// The file: a snapshot; u64 keys, u64 next id, u64 ids, u64 lengths, the keys, tagged; u32 CRC-32
// (IEEE) of these; u64 bytes of the snapshot, u64 bytes of the keys, "SHOALKEY".
// Records, in the table "keys.<index>": under a tagged key its u64 id and the key once more (Python
// has longer keys, under a hash); under "n" the u64 next id.
#include "shoal/key_map.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

#include "base/file.h"
#include "base/mismatch.h"

namespace shoal {
namespace {

constexpr std::string_view kMagic = "SHOALKEY";
constexpr std::string_view kNextRecord = "n";

constexpr std::array<uint32_t, 256> kCrcTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t word = i;
    for (int bit = 0; bit < 8; ++bit) word = word >> 1 ^ (word % 2 != 0 ? 0xedb88320u : 0);
    table[i] = word;
  }
  return table;
}();

uint32_t Crc32(std::string_view data) {
  uint32_t word = UINT32_MAX;
  for (const char byte : data)
    word = word >> 8 ^ kCrcTable[(word ^ static_cast<unsigned char>(byte)) & 0xff];
  return ~word;
}

template <class Word>
void AppendWord(std::string& to, Word word) {
  to.append(reinterpret_cast<const char*>(&word), sizeof(word));
}

uint64_t WordAt(std::string_view data, size_t at) {
  uint64_t word = 0;
  std::memcpy(&word, data.data() + at, sizeof(word));
  return word;
}

std::string TableOf(std::string_view index) { return "keys." + std::string(index); }

}  // namespace

struct KeyMap::Impl {
  mutable std::shared_mutex mutex;
  std::unordered_map<std::string, ExternalId> ids;          // By tagged key.
  std::unordered_map<ExternalId, const std::string*> keys;  // Into `ids`, whose nodes stay.
  ExternalId next = 0;

  // False: the key, or the id, is there. May throw bad_alloc; then nothing has changed.
  bool Add(const std::string& tagged, ExternalId id) {
    if (keys.contains(id)) return false;
    const auto [at, added] = ids.try_emplace(tagged, id);
    if (!added) return false;
    try {
      keys.emplace(id, &at->first);
    } catch (const std::bad_alloc&) {
      ids.erase(at);
      throw;
    }
    next = std::max(next, id + 1);
    return true;
  }

  std::string Written() const {
    const std::shared_lock lock(mutex);
    std::string data;
    AppendWord(data, uint64_t{ids.size()});
    AppendWord(data, next);
    for (const auto& [key, id] : ids) AppendWord(data, id);
    for (const auto& [key, id] : ids) AppendWord(data, uint64_t{key.size()});
    for (const auto& [key, id] : ids) data += key;
    return data;
  }

  // False: it is no map's.
  bool Parse(std::string_view data) {
    if (data.size() < 16) return false;
    const uint64_t n = WordAt(data, 0);
    if (n > (data.size() - 16) / 16) return false;
    size_t at = 16 + 16 * n;
    for (uint64_t i = 0; i < n; ++i) {
      const uint64_t bytes = WordAt(data, 16 + 8 * (n + i));
      if (bytes > data.size() - at || !AddTagged(data.substr(at, bytes), WordAt(data, 16 + 8 * i)))
        return false;
      at += bytes;
    }
    next = std::max(next, WordAt(data, 8));
    return at == data.size();
  }

  bool AddTagged(std::string_view tagged, ExternalId id) {
    return !tagged.empty() && (tagged[0] == 's' || tagged[0] == 'b') &&
           Add(std::string(tagged), id);
  }
};

KeyMap::KeyMap() : impl_(std::make_unique<Impl>()) {}
KeyMap::~KeyMap() = default;
KeyMap::KeyMap(KeyMap&&) noexcept = default;
KeyMap& KeyMap::operator=(KeyMap&&) noexcept = default;

Result<ExternalId> KeyMap::Assign(const PointKey& key) {
  if (const auto id = Find(key)) return *id;
  const std::unique_lock lock(impl_->mutex);
  try {
    const auto found = impl_->ids.find(key.tagged());
    if (found != impl_->ids.end()) return found->second;
    const ExternalId id = impl_->next;
    impl_->Add(key.tagged(), id);
    return id;
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

std::optional<ExternalId> KeyMap::Find(const PointKey& key) const {
  const std::shared_lock lock(impl_->mutex);
  const auto found = impl_->ids.find(key.tagged());
  return found == impl_->ids.end() ? std::nullopt : std::optional(found->second);
}

Result<PointKey> KeyMap::KeyOf(ExternalId id) const {
  const std::shared_lock lock(impl_->mutex);
  const auto found = impl_->keys.find(id);
  if (found == impl_->keys.end())
    return MakeError(ErrorCode::kNotFound, "id " + std::to_string(id) + ": no key has it");
  try {
    const std::string_view data = std::string_view{*found->second}.substr(1);
    return found->second->front() == 's' ? PointKey(data)
                                         : PointKey::OfBytes(std::as_bytes(std::span(data)));
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

bool KeyMap::Remove(const PointKey& key) {
  const std::unique_lock lock(impl_->mutex);
  const auto found = impl_->ids.find(key.tagged());
  if (found == impl_->ids.end()) return false;
  impl_->keys.erase(found->second);
  impl_->ids.erase(found);
  return true;
}

size_t KeyMap::size() const {
  const std::shared_lock lock(impl_->mutex);
  return impl_->ids.size();
}

ExternalId KeyMap::next_id() const {
  const std::shared_lock lock(impl_->mutex);
  return impl_->next;
}

Status KeyMap::Save(const Index& index, const std::filesystem::path& path) const {
  try {
    Result<OutputFile> file = OutputFile::Create(path);
    if (!file) return tl::unexpected(file.error());
    uint64_t snapshot = 0;
    Status saved = index.SaveTo([&](std::span<const std::byte> piece) -> Status {
      snapshot += piece.size();
      return file->Append(piece.data(), piece.size());
    });
    if (!saved) return saved;
    std::string data = impl_->Written();
    const uint64_t bytes = data.size();
    AppendWord(data, Crc32(data));
    AppendWord(data, snapshot);
    AppendWord(data, bytes);
    data += kMagic;
    if (Status ok = file->Append(data.data(), data.size()); !ok) return ok;
    return file->Commit();
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

namespace {

// Where the parts of a file are.
struct KeyedParts {
  uint64_t snapshot = 0;
  std::string keys;
};

Result<KeyedParts> ReadParts(const InputFile& file) {
  constexpr size_t kTail = 16 + 8;
  const auto corrupt = [&](const char* what) {
    return MakeError(ErrorCode::kCorrupt, file.path().string() + ": " + what);
  };
  std::array<char, kTail> tail{};
  if (file.size() < kTail) return corrupt("expected a keyed index, found another file");
  if (Status ok = file.ReadAt(file.size() - kTail, tail.data(), kTail, "end"); !ok)
    return tl::unexpected(ok.error());
  const std::string_view end(tail.data(), kTail);
  if (!end.ends_with(kMagic)) return corrupt("expected a keyed index, found another file");
  const uint64_t snapshot = WordAt(end, 0), bytes = WordAt(end, 8);
  const uint64_t room = file.size() - kTail;
  if (room < sizeof(uint32_t) || snapshot > room - sizeof(uint32_t) ||
      bytes != room - sizeof(uint32_t) - snapshot)
    return corrupt("key map: its length is not that of the file");
  KeyedParts parts{snapshot, std::string(bytes, '\0')};
  uint32_t checksum = 0;
  Status ok = file.ReadAt(snapshot, parts.keys.data(), bytes, "keys");
  if (ok) ok = file.ReadAt(snapshot + bytes, &checksum, sizeof(checksum), "checksum");
  if (!ok) return tl::unexpected(ok.error());
  if (Crc32(parts.keys) != checksum) return corrupt("key map: its checksum is another");
  return parts;
}

}  // namespace

Result<KeyedIndex> LoadKeyed(const std::filesystem::path& path, const LoadOptions& options) {
  try {
    const Result<InputFile> file = InputFile::Open(path);
    if (!file) return tl::unexpected(file.error());
    const Result<KeyedParts> parts = ReadParts(*file);
    if (!parts) return tl::unexpected(parts.error());
    KeyMap keys;
    if (!keys.impl_->Parse(parts->keys))
      return MakeError(ErrorCode::kCorrupt, path.string() + ": key map: a key that cannot be");
    uint64_t at = 0;
    Result<Index> index = Index::LoadFrom(
        [&](std::span<std::byte> bytes) -> Result<size_t> {
          const size_t n = std::min<uint64_t>(bytes.size(), parts->snapshot - at);
          if (Status ok = file->ReadAt(at, bytes.data(), n, "snapshot"); !ok)
            return tl::unexpected(ok.error());
          at += n;
          return n;
        },
        options);
    if (!index) return tl::unexpected(index.error());
    if (index->size() != keys.size())
      return MakeError(ErrorCode::kCorrupt, path.string() + ": expected a key for each of " +
                                                std::to_string(index->size()) + " points, found " +
                                                std::to_string(keys.size()));
    return KeyedIndex{*std::move(index), std::move(keys)};
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

Result<KeyMap> KeyMap::Read(const Database& database, std::string_view index) {
  try {
    const std::string table = TableOf(index);
    const Result<std::vector<Record>> records = database.Records(table);
    if (!records) return tl::unexpected(records.error());
    KeyMap map;
    ExternalId next = 0;
    for (const Record& record : *records) {
      const std::string_view value = record.value;
      if (record.key == kNextRecord && value.size() == sizeof(uint64_t))
        next = WordAt(value, 0);
      else if (value.size() < sizeof(uint64_t) ||
               !map.impl_->AddTagged(value.substr(sizeof(uint64_t)), WordAt(value, 0)))
        return MakeError(ErrorCode::kCorrupt,
                         "table " + table + ": a record that is no key's, or is there twice");
    }
    map.impl_->next = std::max(map.impl_->next, next);
    return map;
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

namespace {

Status CheckStored(const PointKey& key) {
  if (key.data().size() <= PointKey::kMaxStored) return {};
  return Mismatch(ErrorCode::kInvalidArgument, "key",
                  "at most " + std::to_string(PointKey::kMaxStored) + " bytes",
                  std::to_string(key.data().size()));
}

}  // namespace

Status KeyMap::Put(Transaction& change, std::string_view index, const PointKey& key) const {
  if (Status ok = CheckStored(key); !ok) return ok;
  const auto id = Find(key);
  if (!id) return MakeError(ErrorCode::kNotFound, "key: expected one that has an id, found none");
  try {
    std::string value, next;
    AppendWord(value, *id);
    value += key.tagged();
    AppendWord(next, next_id());
    const std::string table = TableOf(index);
    if (Status ok = change.PutRecord(table, key.tagged(), value); !ok) return ok;
    return change.PutRecord(table, kNextRecord, next);
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

Status KeyMap::Delete(Transaction& change, std::string_view index, const PointKey& key) {
  if (Status ok = CheckStored(key); !ok) return ok;
  try {
    return change.DeleteRecord(TableOf(index), key.tagged());
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

}  // namespace shoal
