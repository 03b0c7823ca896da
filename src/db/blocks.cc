#include "db/blocks.h"

#include <algorithm>

#include "base/crc32c.h"
#include "base/mismatch.h"

namespace shoal {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kLmdbHeader = 16;  // In front of a value that fills pages of its own.
constexpr size_t kFewPages = 4, kManyPages = 16;
// A page of LMDB has at most 32 KB. Values of which two fit into one share pages, and move with
// their neighbours; blocks of rows and lists do not (found_blocks.h).
constexpr size_t kLargestPage = 32768;
static_assert(2 * (kFewPages * kPage - kLmdbHeader + sizeof(Key)) > kLargestPage - kLmdbHeader);

constexpr const char* kKindNames[] = {"?",      "format",  "index", "rows", "lists",
                                      "states", "anchors", "seeds", "log",  "run"};

// The fewest pages, four at least, of which records of `record` bytes leave a sixteenth empty at
// most; else of those that are tried, the ones that leave least.
size_t PagesFor(size_t record) {
  size_t best = 0;
  double best_used = 0;
  const size_t least =
      std::max(kFewPages, (record + sizeof(BlockHeader) + kLmdbHeader + kPage - 1) / kPage);
  for (size_t pages = least; pages <= std::max(kManyPages, least); ++pages) {
    const size_t bytes = pages * kPage;
    const size_t room = bytes - kLmdbHeader - sizeof(BlockHeader);
    const size_t records = room / record;
    const double used = static_cast<double>(records * record) / static_cast<double>(bytes);
    if (used > best_used) {
      best_used = used;
      best = pages;
    }
    if (used > 15.0 / 16) break;
  }
  return best;
}

}  // namespace

std::string NameOfBlock(const BlockHeader& header) {
  const auto kind = static_cast<uint32_t>(header.kind);
  std::string name = "index " + std::to_string(header.index) + ", ";
  name += kind < std::size(kKindNames) ? kKindNames[kind] : "?";
  if (header.kind == BlockKind::kRun) name.append(" ").append(std::to_string(header.number >> 32));
  const uint64_t block =
      header.kind == BlockKind::kRun ? static_cast<uint32_t>(header.number) : header.number;
  return name + ", block " + std::to_string(block);
}

void SealBlock(Block& block, BlockHeader header) {
  std::memcpy(block.data(), &header, sizeof(header));
  header.crc = Crc32c(block.data() + sizeof(header.crc), block.size() - sizeof(header.crc));
  std::memcpy(block.data(), &header.crc, sizeof(header.crc));
}

Result<BlockHeader> CheckBlock(std::string_view where, Bytes value, const BlockHeader& expected,
                               CheckedBlocks* checked) {
  // Made where there is an error: a search checks hundreds of blocks.
  const auto name = [&] { return std::string(where) + ": " + NameOfBlock(expected) + ": "; };
  const auto broken = [&](const char* field, const std::string& wanted, const std::string& found) {
    return Mismatch(ErrorCode::kCorrupt, name() + field, wanted, found);
  };
  if (value.size() < sizeof(BlockHeader))
    return broken("bytes", "at least " + std::to_string(sizeof(BlockHeader)),
                  std::to_string(value.size()));
  const auto header = ValueAt<BlockHeader>(value, 0);
  if (checked == nullptr || !checked->Has(value.data(), header.crc)) {
    const uint32_t crc =
        Crc32c(value.data() + sizeof(header.crc), value.size() - sizeof(header.crc));
    if (crc != header.crc)
      return broken("checksum", std::to_string(header.crc), std::to_string(crc));
    if (checked != nullptr) checked->Add(value.data(), crc);
  }
  if (header.version != kDatabaseVersion)
    return MakeError(ErrorCode::kUnsupported, name() + "version: expected " +
                                                  std::to_string(kDatabaseVersion) + ", found " +
                                                  std::to_string(header.version));
  if (header.kind != expected.kind || header.index != expected.index ||
      header.number != expected.number || header.generation != expected.generation)
    return broken("place", "this block", NameOfBlock(header));
  return header;
}

BlockGeometry::BlockGeometry(const IndexOptions& options, size_t bytes)
    : row_bytes(bytes), max_degree(options.max_degree) {
  const auto fit = [](size_t record, size_t& block_bytes, uint32_t& per_block) {
    block_bytes = PagesFor(record) * kPage - kLmdbHeader;
    per_block = static_cast<uint32_t>((block_bytes - sizeof(BlockHeader)) / record);
  };
  fit(row_bytes, row_block_bytes, rows_per_block);
  fit(sizeof(uint64_t) + size_t{max_degree} * sizeof(SlotId), list_block_bytes, lists_per_block);
}

Block EncodeIndexRecord(const IndexRecord& r) {
  Block block(sizeof(BlockHeader));
  PutValue(block, r.options.dim);
  PutValue(block, static_cast<uint32_t>(r.options.scalar_type));
  PutValue(block, static_cast<uint32_t>(r.options.metric));
  PutValue(block, r.options.max_degree);
  PutValue(block, r.options.build_list_size);
  PutValue(block, r.options.alpha);
  PutValue(block, static_cast<uint32_t>(r.options.code));
  PutValue(block, r.generation);
  PutValue(block, r.start);
  PutValue(block, r.slots);
  PutValue(block, r.generation_slots);
  PutValue(block, r.first_commit);
  PutValue(block, r.last_commit);
  PutValue(block, r.live);
  PutValue(block, r.dead);
  PutValue(block, r.max_norm_sq);
  PutValue(block, static_cast<uint32_t>(r.name.size()));
  const auto* name = reinterpret_cast<const std::byte*>(r.name.data());
  block.insert(block.end(), name, name + r.name.size());
  PutValue(block, r.next_run);
  PutValue(block, r.changes_in_no_run);
  PutValue(block, static_cast<uint32_t>(r.runs.size()));
  for (const RunRecord& run : r.runs) {
    PutValue(block, run.number);
    PutValue(block, run.last_commit);
    PutValue(block, run.items);
  }
  SealBlock(block, {.kind = BlockKind::kIndex, .index = r.number});
  return block;
}

Result<IndexRecord> DecodeIndexRecord(std::string_view where, uint32_t number, Bytes value) {
  const Result<BlockHeader> header =
      CheckBlock(where, value, {.kind = BlockKind::kIndex, .index = number});
  if (!header) return tl::unexpected(header.error());
  ByteReader in(value.subspan(sizeof(BlockHeader)));
  IndexRecord r;
  r.number = number;
  r.options.dim = in.Take<uint32_t>();
  r.options.scalar_type = static_cast<ScalarType>(in.Take<uint32_t>());
  r.options.metric = static_cast<Metric>(in.Take<uint32_t>());
  r.options.max_degree = in.Take<uint32_t>();
  r.options.build_list_size = in.Take<uint32_t>();
  r.options.alpha = in.Take<float>();
  r.options.code = static_cast<Code>(in.Take<uint32_t>());
  r.generation = in.Take<uint32_t>();
  r.start = in.Take<SlotId>();
  r.slots = in.Take<SlotId>();
  r.generation_slots = in.Take<SlotId>();
  r.first_commit = in.Take<uint64_t>();
  r.last_commit = in.Take<uint64_t>();
  r.live = in.Take<uint64_t>();
  r.dead = in.Take<uint64_t>();
  r.max_norm_sq = in.Take<float>();
  const Bytes name = in.TakeBytes(in.Take<uint32_t>());
  r.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  r.next_run = in.Take<uint32_t>();
  r.changes_in_no_run = in.Take<uint32_t>();
  for (uint32_t n = in.Take<uint32_t>(); n > 0 && in.ok(); --n)
    r.runs.push_back({.number = in.Take<uint32_t>(),
                      .last_commit = in.Take<uint64_t>(),
                      .items = in.Take<std::array<uint32_t, 4>>()});
  if (in.ok() && in.done() && r.slots <= kMaxSlots && r.generation_slots <= r.slots &&
      r.options.dim >= 1 && r.options.dim <= kMaxDim && r.options.max_degree >= 4 &&
      r.options.max_degree <= kMaxDegree && r.options.scalar_type <= ScalarType::kBit &&
      r.options.metric <= Metric::kHamming && IsPossible(r.options.scalar_type, r.options.metric) &&
      r.options.code > Code::kAuto && r.options.code <= Code::kSign &&
      r.first_commit <= r.last_commit + 1)
    return r;
  return Mismatch(ErrorCode::kCorrupt,
                  std::string(where) + ": index " + std::to_string(number) + ": record",
                  "values in range", "others");
}

Block EncodeFormat(const FormatRecord& record) {
  Block block(sizeof(BlockHeader));
  PutValue(block, record.next_index);
  SealBlock(block, {.kind = BlockKind::kFormat});
  return block;
}

Result<FormatRecord> DecodeFormat(std::string_view where, Bytes value) {
  const Result<BlockHeader> header = CheckBlock(where, value, {.kind = BlockKind::kFormat});
  if (!header) return tl::unexpected(header.error());
  ByteReader in(value.subspan(sizeof(BlockHeader)));
  const FormatRecord record{in.Take<uint32_t>()};
  if (in.ok() && in.done()) return record;
  return Mismatch(ErrorCode::kCorrupt, std::string(where) + ": format", "one number",
                  std::to_string(value.size()) + " bytes");
}

}  // namespace shoal
