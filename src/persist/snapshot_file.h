// shoal's own file of an index: the container. docs/file_formats.md has it byte by byte, and is
// changed with this file.
//
//   header | rows | rerank rows | ids | slots | lists | labels | parameters | seeds | directory
//
// Rerank rows and parameters are there where the codes need them, labels where points have some,
// slots where a feature store has the vectors. A list may have the rows of its points beside it
// (list_codes.h). Rows, ids, slots and lists hold records of one size,
// one for each entry: the points, and behind them the start point. They begin at whole pages, so
// that a mapped file can be searched in place (IndexView). Each is cut into blocks of
// `block_points` entries; what is behind the last record belongs to the last block. The directory
// has the place, the length and the CRC-32C of each block; the header has the place and the CRC-32C
// of the directory, the length of the file, and a CRC-32C of its own. So every byte of the file is
// under a checksum, and each block can be read and checked on its own, by any thread.
//
// This layer knows blocks; snapshot_seeds.h knows the last one; the engine writes and reads the
// others.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "base/round.h"
#include "shoal/options.h"
#include "shoal/result.h"
#include "shoal/stream.h"
#include "shoal/types.h"
#include "store/tag.h"

namespace shoal {

inline constexpr std::string_view kSnapshotMagic = "\x89SHOAL\r\n";
inline constexpr uint32_t kSnapshotVersion = 4;
// Of a file without codes beside its lists, which older programs read, too.
inline constexpr uint32_t kPlainSnapshotVersion = 3;
inline constexpr size_t kSnapshotPage = 4096;
inline constexpr size_t kSnapshotHeaderBytes = 4096;
inline constexpr size_t kSnapshotEntryBytes = 16;  // Of the directory.

// In the order of the file.
enum class SnapshotSection : uint8_t {
  kRows,        // Of each entry row_bytes: what searches traverse, as the codec encodes it. Where
                // the code is none there are no such rows.
  kRerankRows,  // Likewise, what orders their hits, where that is another code.
  kIds,         // Of each entry a u64. The start point's is zero.
  kSlots,       // Of each entry a u32, where the vectors are in a feature store: its slot.
  kLists,       // Of each entry max_degree u32: points, then kNoSlot; and perhaps their rows.
  kLabels,      // One block, where points have labels (SnapshotLabels).
  kParameters,  // One block, where a codec has parameters: those of `code`, then of `rerank_code`.
  kSeeds,       // One block, where there is a start point.
};
inline constexpr SnapshotSection kSnapshotSections[] = {
    SnapshotSection::kRows,       SnapshotSection::kRerankRows, SnapshotSection::kIds,
    SnapshotSection::kSlots,      SnapshotSection::kLists,      SnapshotSection::kLabels,
    SnapshotSection::kParameters, SnapshotSection::kSeeds};
std::string_view SnapshotSectionName(SnapshotSection section);

// What the file keeps of one of the index's codecs.
struct SnapshotCodec {
  uint32_t row_bytes = 0;        // 0: there are no such rows.
  uint32_t parameter_bytes = 0;  // In kParameters.
  float max_norm_sq = 0;         // Inner product: the largest squared norm that it has seen.
};

struct SnapshotHeader {
  IndexOptions options;  // All but `runtime`.
  uint64_t file_bytes = 0;
  uint64_t points = 0;
  uint64_t edges = 0;  // In all lists, the start point's included.
  SnapshotCodec traversal = {};
  SnapshotCodec rerank = {};  // Where rerank_code is another than code, and has_slots is 0.
  uint32_t block_points = 1;
  uint32_t start_points = 0;  // 0 or 1.
  uint32_t directory_crc = 0;
  uint32_t label_pages = 0;  // Of kLabels; 0: there are none.
  uint32_t has_slots = 0;    // 1: the vectors are in a feature store, and there is kSlots. Else 0.
  uint32_t has_list_codes = 0;  // 1: lists have the rows of their points beside them. Else 0.

  uint32_t version() const {
    return has_list_codes == 0 ? kPlainSnapshotVersion : kSnapshotVersion;
  }
  uint64_t entries() const { return points + start_points; }
  // Blocks of each section of entries.
  size_t entry_blocks() const { return DivideUp(entries(), block_points); }
  size_t BlocksOf(SnapshotSection section) const;
  // Of the sections before `section`.
  size_t BlocksBefore(SnapshotSection section) const;
  size_t blocks() const {
    return BlocksBefore(SnapshotSection::kSeeds) + BlocksOf(SnapshotSection::kSeeds);
  }
  size_t parameter_bytes() const {
    return size_t{traversal.parameter_bytes} + rerank.parameter_bytes;
  }
  // Entries [FirstEntry(b), FirstEntry(b + 1)) are in block b of a section of entries.
  uint64_t FirstEntry(size_t block) const {
    return std::min<uint64_t>(entries(), uint64_t{block} * block_points);
  }
  // Of a section of entries: bytes of a record, and where its first record is in the file.
  size_t RecordBytes(SnapshotSection section) const;
  uint64_t OffsetOf(SnapshotSection section) const;
  // With has_list_codes: where in the record of a list the rows of its points begin.
  size_t ListCodesAt() const { return RoundUp(options.max_degree * sizeof(SlotId), kCacheLine); }
  // Of block `block`, with what is behind the last record.
  size_t BlockBytes(SnapshotSection section, size_t block) const;

 private:
  uint64_t SectionBytes(SnapshotSection section) const;
};
// How many points a block of such a file holds: about a megabyte of its largest section.
uint32_t SnapshotBlockPoints(const SnapshotHeader& header);

using SnapshotHeaderBytes = std::array<std::byte, kSnapshotHeaderBytes>;
// The header of a file whose directory begins at `directory`.
SnapshotHeaderBytes EncodeHeader(const SnapshotHeader& header, uint64_t directory);

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
  // Into a file without a name: for CommitTo.
  static Result<SnapshotWriter> CreateUnnamed();
  Status Append(const std::vector<std::byte>& block);
  // Reads back what was appended: `bytes` at `offset` of the file.
  Status ReadAt(uint64_t offset, void* out, size_t bytes) {
    return file_.ReadAt(offset, out, bytes);
  }
  // The file is there, whole. `header`: all but file_bytes and directory_crc.
  Status Commit(SnapshotHeader header);
  // Hands all bytes to `sink` instead, from the first to the last: the header, which comes first,
  // has checksums of the rest.
  Status CommitTo(SnapshotHeader header, const ByteSink& sink, const std::stop_token& stop);

 private:
  static Result<SnapshotWriter> Begin(Result<OutputFile> file);
  Status Seal(SnapshotHeader header);
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
  static Result<SnapshotReader> Open(Result<InputFile> file);
  // The header alone.
  static Result<SnapshotHeader> ReadHeader(const InputFile& file);

  const SnapshotHeader& header() const { return header_; }
  const InputFile& file() const { return file_; }
  // Block `block` of a section, its checksum compared. `out` is working memory that is used again.
  Status ReadBlock(SnapshotSection section, size_t block, std::vector<std::byte>& out) const;
  // Where a block is in the file.
  uint64_t OffsetOf(SnapshotSection section, size_t block) const {
    return EntryOf(section, block).offset;
  }
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
  static_assert(sizeof(Entry) == kSnapshotEntryBytes);
  friend class SnapshotWriter;

  explicit SnapshotReader(InputFile file) : file_(std::move(file)) {}
  Status ReadDirectory();
  Status CheckEntry(SnapshotSection section, size_t block, uint64_t offset) const;
  const Entry& EntryOf(SnapshotSection section, size_t block) const {
    return directory_[header_.BlocksBefore(section) + block];
  }

  InputFile file_;
  SnapshotHeader header_;
  std::vector<Entry> directory_;
};

}  // namespace shoal
