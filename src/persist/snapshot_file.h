// shoal's own file of an index: the container. docs/file_formats.md has it byte by byte, and is
// changed with this file.
//
//   header | vectors | ids | lists | start | directory
//
// Each section is a row of blocks, each of at most `block_points` points. The directory says where
// each block is, how long it is and what its CRC-32C is; the header says where the directory is and
// what its CRC-32C is, how long the file is, and has one of its own in its last four bytes. So
// every byte of the file is under a checksum, and each block can be read and checked on its own, by
// any thread.
//
// This floor knows blocks, not what stands in them: the engine writes and reads those.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/mutex.h"
#include "base/round.h"
#include "shoal/options.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal {

inline constexpr std::string_view kSnapshotMagic = "\x89SHOAL\r\n";
inline constexpr uint32_t kSnapshotVersion = 2;
// Most entry points that a file may name, and the words beside them.
inline constexpr uint32_t kMaxSnapshotRoots = 20;
inline constexpr uint32_t kMaxSnapshotLeaves = 96;  // Of a root.
inline constexpr uint32_t kMaxSnapshotEntryWords =
    2 + kMaxSnapshotRoots * (1 + 2 + kMaxSnapshotLeaves);

// In the order of the file.
enum class SnapshotSection : uint8_t {
  kVectors,  // Of each point dim elements.
  kIds,      // Of each point one u64.
  kLists,    // Of each point u32 k, k x u32 points.
  kStart,    // One block, where there is a start point: its vector, its list, the entry points.
};
inline constexpr SnapshotSection kSnapshotSections[] = {
    SnapshotSection::kVectors, SnapshotSection::kIds, SnapshotSection::kLists,
    SnapshotSection::kStart};
std::string_view SnapshotSectionName(SnapshotSection section);

struct SnapshotHeader {
  IndexOptions options;  // dim, scalar_type, metric, max_degree, build_list_size, alpha.
  uint64_t file_bytes = 0;
  uint64_t points = 0;
  uint64_t edges = 0;  // In all lists, the start point's included.
  uint32_t block_points = 1;
  uint32_t start_points = 0;  // 0 or 1.
  uint32_t directory_crc = 0;
  float max_norm_sq = 0;  // Inner product: the largest squared norm that the index has seen.

  size_t vector_bytes() const { return options.dim * ScalarSize(options.scalar_type); }
  // Blocks of each section of points.
  size_t point_blocks() const { return DivideUp(points, block_points); }
  size_t BlocksOf(SnapshotSection section) const {
    return section == SnapshotSection::kStart ? start_points : point_blocks();
  }
  size_t blocks() const { return 3 * point_blocks() + start_points; }
  // Points [FirstPoint(b), FirstPoint(b + 1)) are in block b of a section of points.
  uint64_t FirstPoint(size_t block) const {
    return std::min<uint64_t>(points, uint64_t{block} * block_points);
  }
};
// How many points a block of such an index holds: about a megabyte of its largest section.
uint32_t SnapshotBlockPoints(const IndexOptions& options);

// Numbers in a block, one behind the other, at any alignment.
template <class T>
void PutNumber(std::vector<std::byte>& block, T value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  block.insert(block.end(), bytes, bytes + sizeof(value));
}
template <class T>
T NumberAt(const std::vector<std::byte>& block, size_t offset) {
  T value;
  std::memcpy(&value, block.data() + offset, sizeof(value));
  return value;
}

// Writes blocks in the order of the file. Destroyed before Commit, it leaves no file behind, and an
// older one as it was.
class SnapshotWriter {
 public:
  static Result<SnapshotWriter> Create(const std::filesystem::path& path);
  Status Append(const std::vector<std::byte>& block);
  // The file is there, whole. `header`: all but file_bytes and directory_crc.
  Status Commit(SnapshotHeader header);

 private:
  explicit SnapshotWriter(OutputFile file) : file_(std::move(file)) {}
  OutputFile file_;
  uint64_t offset_ = 0;
  std::vector<std::byte> directory_;
};

// What went wrong first, where several threads may fail.
class FirstError {
 public:
  bool ok() const { return !failed_.load(std::memory_order_relaxed); }
  void Note(Status status) {
    if (status) return;
    const MutexLock lock(mutex_);
    if (status_) status_ = std::move(status);
    failed_.store(true, std::memory_order_relaxed);
  }
  // When the threads are done.
  Status Take() {
    const MutexLock lock(mutex_);
    return std::move(status_);
  }

 private:
  std::atomic<bool> failed_{false};
  Mutex mutex_;
  Status status_ SHOAL_GUARDED_BY(mutex_);
};

// An open snapshot whose header and directory have been checked. Any thread may read at any time.
class SnapshotReader {
 public:
  // Unsupported: a newer version. Corrupt: no snapshot, cut off, or damaged.
  static Result<SnapshotReader> Open(const std::filesystem::path& path);
  // The header alone.
  static Result<SnapshotHeader> ReadHeader(const InputFile& file);

  const SnapshotHeader& header() const { return header_; }
  // Block `block` of a section, its checksum compared. `out` is working memory that is used again.
  Status ReadBlock(SnapshotSection section, size_t block, std::vector<std::byte>& out) const;
  // Corrupt: "<file>: <section>, offset <of the file>: <field>: expected ..., found ...". `offset`:
  // in the block.
  tl::unexpected<Error> Broken(SnapshotSection section, size_t block, size_t offset,
                               std::string_view field, std::string_view expected,
                               std::string_view found) const;

 private:
  struct Entry {
    uint64_t offset;
    uint32_t bytes;
    uint32_t crc;
  };
  static_assert(sizeof(Entry) == 16);
  friend class SnapshotWriter;

  explicit SnapshotReader(InputFile file) : file_(std::move(file)) {}
  Status ReadDirectory();
  Status CheckEntry(SnapshotSection section, size_t block, uint64_t offset) const;
  const Entry& EntryOf(SnapshotSection section, size_t block) const {
    return directory_[static_cast<size_t>(section) * header_.point_blocks() + block];
  }

  InputFile file_;
  SnapshotHeader header_;
  std::vector<Entry> directory_;
};

}  // namespace shoal
