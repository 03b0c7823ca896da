// What a database keeps in LMDB: keys, blocks, records. docs/database.md has the whole; byte by
// byte it is here. All numbers are little-endian.
//
// Every value begins with a BlockHeader: what it is, where it belongs, and a CRC-32C of all behind
// the checksum. So a block that is damaged, or in another's place, is noticed at its first use.
//
//   table   key                                value
//   meta    0, 0, 0, 0                         kFormat: next index number (u32)
//           1, index, 0, 0                     kIndex: IndexRecord
//   rows    index, 0, 0, block                 kRows: rows of consecutive slots
//   graph   index, generation, 0, block        kLists: ids, lists of consecutive slots
//           index, generation, 1, block        kStates: bits, live and present
//           index, generation, 2, 0            kAnchors: pairs (anchor, point)
//           index, generation, 3, 0            kSeeds: sets of seeds
//   log     index, high, low, part             kLog: changes of commit (high, low)
//   runs    index, run, array, block           kRun: a part of a sorted array (log_run.h)
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "db/environment.h"
#include "shoal/options.h"
#include "shoal/result.h"
#include "store/tag.h"

namespace shoal {

inline constexpr uint32_t kDatabaseVersion = 1;

enum class BlockKind : uint32_t {
  kFormat = 1,
  kIndex = 2,
  kRows = 3,
  kLists = 4,
  kStates = 5,
  kAnchors = 6,
  kSeeds = 7,
  kLog = 8,
  kRun = 9,
};

// What is in front of every value. 48 bytes: LMDB puts a large value 16 bytes behind a page's
// beginning, so rows begin at whole cache lines.
struct BlockHeader {
  uint32_t crc = 0;  // Of all bytes of the value behind it.
  BlockKind kind{};
  uint32_t version = kDatabaseVersion;
  uint32_t index = 0;
  uint64_t number = 0;      // Block, or commit, or run << 32 | block.
  uint32_t generation = 0;  // Or part of a commit, or array of a run.
  uint32_t count = 0;       // Records.
  uint64_t more = 0;        // kLog: parts of the commit.
  uint64_t unused = 0;
};
static_assert(sizeof(BlockHeader) == 48);

using Block = std::vector<std::byte>;

// Puts the header in front, with its checksum; `block` has room for it.
void SealBlock(Block& block, BlockHeader header);
// Compares checksum, kind, version and place (index, number, generation). Corrupt, Unsupported: the
// message begins with `where`. `checked`: the checksum of a block that it has is not compared
// again, and it gets this one.
Result<BlockHeader> CheckBlock(std::string_view where, Bytes value, const BlockHeader& expected,
                               CheckedBlocks* checked = nullptr);
// "index 3, lists, block 17"
std::string NameOfBlock(const BlockHeader& header);

// How the slots of an index are cut into blocks. A function of its options.
struct BlockGeometry {
  explicit BlockGeometry(const IndexOptions& options, size_t row_bytes);
  size_t row_bytes;
  uint32_t max_degree;
  size_t row_block_bytes;  // Whole pages, less what LMDB takes.
  uint32_t rows_per_block;
  size_t list_block_bytes;
  uint32_t lists_per_block;

  size_t RowOffset(SlotId slot) const {
    return sizeof(BlockHeader) + slot % rows_per_block * row_bytes;
  }
  // In a block of lists: u64 ids, then u32 lists.
  size_t IdOffset(SlotId slot) const {
    return sizeof(BlockHeader) + slot % lists_per_block * sizeof(uint64_t);
  }
  size_t ListOffset(SlotId slot) const {
    return sizeof(BlockHeader) + lists_per_block * sizeof(uint64_t) +
           size_t{slot % lists_per_block} * max_degree * sizeof(SlotId);
  }
};
// Slots of a block of states: live bits, then present bits.
inline constexpr uint32_t kStatesPerBlock = 60 * 1024;

// A sorted run of the log (log_run.h).
struct RunRecord {
  uint32_t number = 0;
  uint64_t last_commit = 0;         // No change of it is of a later one.
  std::array<uint32_t, 4> items{};  // Of each array.
};

// What is known of an index beside its points.
struct IndexRecord {
  std::string name;
  IndexOptions options;
  uint32_t number = 0;
  uint32_t generation = 0;
  SlotId start = kNoSlot;
  SlotId slots = 0;             // No point on disk is at or above it.
  SlotId generation_slots = 0;  // Likewise, in the generation.
  uint64_t first_commit = 1;    // The log has commits [first, last].
  uint64_t last_commit = 0;
  uint64_t live = 0;
  uint64_t dead = 0;
  float max_norm_sq = 0;
  std::vector<RunRecord> runs = {};  // By last commit, ascending.
  uint32_t next_run = 0;
  uint32_t changes_in_no_run = 0;  // Of the log.

  // The first commit whose changes are in no run.
  uint64_t FirstInNoRun() const {
    return runs.empty() ? first_commit : std::max(first_commit, runs.back().last_commit + 1);
  }
};
Block EncodeIndexRecord(const IndexRecord& record);
Result<IndexRecord> DecodeIndexRecord(std::string_view where, uint32_t number, Bytes value);

struct FormatRecord {
  uint32_t next_index = 0;
};
Block EncodeFormat(const FormatRecord& record);
Result<FormatRecord> DecodeFormat(std::string_view where, Bytes value);

// Keys.
inline Key FormatKey() { return {}; }
inline Key IndexKey(uint32_t index) { return {{1, index, 0, 0}}; }
inline Key RowsKey(uint32_t index, uint32_t block) { return {{index, 0, 0, block}}; }
enum class GraphPart : uint32_t { kLists = 0, kStates = 1, kAnchors = 2, kSeeds = 3 };
inline Key GraphKey(uint32_t index, uint32_t generation, GraphPart part, uint32_t block) {
  return {{index, generation, static_cast<uint32_t>(part), block}};
}
inline Key LogKey(uint32_t index, uint64_t commit, uint32_t part) {
  return {{index, static_cast<uint32_t>(commit >> 32), static_cast<uint32_t>(commit), part}};
}
inline Key RunKey(uint32_t index, uint32_t run, uint32_t array, uint32_t block) {
  return {{index, run, array, block}};
}

template <class T>
void PutValue(Block& block, const T& value) {
  const size_t at = block.size();
  block.resize(at + sizeof(value));
  std::memcpy(block.data() + at, &value, sizeof(value));
}
template <class T>
T ValueAt(Bytes bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

// Reads values one behind the other; `ok` is false once the bytes have run out.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : bytes_(bytes) {}
  template <class T>
  T Take() {
    if (bytes_.size() - at_ < sizeof(T)) {
      ok_ = false;
      return T{};
    }
    at_ += sizeof(T);
    return ValueAt<T>(bytes_, at_ - sizeof(T));
  }
  Bytes TakeBytes(size_t n) {
    if (bytes_.size() - at_ < n) {
      ok_ = false;
      return {};
    }
    at_ += n;
    return bytes_.subspan(at_ - n, n);
  }
  bool ok() const { return ok_; }
  bool done() const { return at_ == bytes_.size(); }
  size_t offset() const { return at_; }

 private:
  Bytes bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace shoal
