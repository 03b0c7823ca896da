// A small database whose blocks can be given wrong contents and right checksums, and everything
// that reads it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "db/blocks.h"
#include "shoal/database.h"
#include "shoal/filter.h"

namespace shoal::test {

inline constexpr uint32_t kDamagedDim = 16;
inline constexpr ExternalId kDamagedPoints = 2800;

inline std::vector<float> RandomVector(std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> v(kDamagedDim);
  for (float& x : v) x = normal(random);
  return v;
}

// The file of an index "a" with a generation, a run and a log. Throws where a call fails.
inline std::string MakeDatabase(const std::filesystem::path& folder) {
  const auto must = [](const auto& result) {
    if (!result) throw std::runtime_error(result.error().message);
  };
  std::mt19937 random(7);
  const auto path = folder / "points.db";
  Result<Database> database = Database::Open(
      path, {.sync = SyncLevel::kNone, .pass_percent = 1000, .least_changes = 1u << 20});
  must(database);
  Result<StoredIndex> index =
      database->CreateIndex("a", {.dim = kDamagedDim, .max_degree = 8, .build_list_size = 12});
  must(index);
  const auto add = [&](ExternalId first, ExternalId end) {
    Result<Transaction> change = database->Begin();
    must(change);
    for (ExternalId id = first; id < end; ++id)
      must(change->Insert(*index, id, RandomVector(random)));
    must(change->Commit());
    for (ExternalId id = first; id < end; id += 50) must(index->Delete(id));
  };
  add(0, 500);
  must(database->Pass());
  add(500, 2700);             // A run,
  add(2700, kDamagedPoints);  // and a log.
  must(database->Backup(folder / "whole.db"));
  std::ifstream file(folder / "whole.db", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class DatabaseBytes {
 public:
  // Of large values; a block ends where its checksum is right.
  struct Place {
    size_t offset, bytes;
    BlockKind kind;
  };
  // 32 bits behind the header of a block. Numbers that are too large are taken modulo what there
  // is.
  struct Edit {
    size_t block, word;
    uint32_t value;
  };

  explicit DatabaseBytes(std::string whole) : whole_(std::move(whole)) {
    for (size_t at = 16; at + sizeof(BlockHeader) < whole_.size(); at += 4096) {
      BlockHeader header;
      std::memcpy(&header, whole_.data() + at, sizeof(header));
      if (header.version != kDatabaseVersion || header.kind < BlockKind::kRows ||
          header.kind > BlockKind::kRun)
        continue;
      const size_t bytes = BytesOf(at);
      if (bytes > sizeof(BlockHeader)) blocks_.push_back({at, bytes, header.kind});
    }
  }
  const std::string& whole() const { return whole_; }
  std::span<const Place> blocks() const { return blocks_; }

  std::string With(std::span<const Edit> edits) const {
    std::string file = whole_;
    for (const Edit& edit : edits) {
      const Place& place = blocks_[edit.block % blocks_.size()];
      const size_t room = place.bytes - sizeof(BlockHeader);
      const size_t offset = place.offset + sizeof(BlockHeader) + edit.word * 4 % room / 4 * 4;
      std::memcpy(file.data() + offset, &edit.value,
                  std::min<size_t>(4, place.offset + place.bytes - offset));
      const uint32_t sum = Sum(file, place.offset, place.bytes);
      std::memcpy(file.data() + place.offset, &sum, sizeof(sum));
    }
    return file;
  }

 private:
  size_t BytesOf(size_t at) const {
    uint32_t wanted = 0;
    std::memcpy(&wanted, whole_.data() + at, sizeof(wanted));
    // LMDB's page number and flags come before it; the size is the node's. It is found.
    for (size_t size = 1; size <= 16 * 4096 - 16 && at + size <= whole_.size(); ++size)
      if (size > sizeof(BlockHeader) && Sum(whole_, at, size) == wanted) return size;
    return 0;
  }
  static uint32_t Sum(const std::string& file, size_t at, size_t bytes) {
    return Crc32c(reinterpret_cast<const std::byte*>(file.data()) + at + sizeof(uint32_t),
                  bytes - sizeof(uint32_t));
  }

  std::string whole_;
  std::vector<Place> blocks_;
};

inline void WriteDatabase(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  std::filesystem::remove(path.string() + "-lock");
}

// Reads the file in every way, then, where asked, writes to it. Returns whether an error was met.
inline bool UseDatabase(const std::filesystem::path& path, std::mt19937& random,
                        bool writes = true) {
  const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(path, "a");
  bool noticed = !snapshot;
  if (snapshot) {
    const Filter odd = Filter::Not(Filter::Ids(std::vector<ExternalId>{1, 2, 3}));
    for (int i = 0; i < 3; ++i) {
      (void)snapshot->Search(RandomVector(random), {.k = 20, .search_list_size = 60});
      (void)snapshot->Search(RandomVector(random), {.k = 5, .filter = &odd});
    }
    (void)snapshot->RangeSearch(RandomVector(random), {.radius = 5});
    std::vector<float> v(kDamagedDim);
    for (ExternalId id = 0; id < 20; ++id) (void)snapshot->Get(id * 131, v);
    (void)snapshot->Ids();
    noticed = !snapshot->Verify();
  }
  if (!writes) return noticed;
  Result<Database> database = Database::Open(path, {.sync = SyncLevel::kNone});
  if (!database) return true;
  Result<StoredIndex> index = database->OpenIndex("a");
  if (!index) return true;
  (void)index->live().Search(RandomVector(random));
  (void)index->Insert(9999, RandomVector(random));
  (void)database->Pass();
  return noticed;
}

}  // namespace shoal::test
