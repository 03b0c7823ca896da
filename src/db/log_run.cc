#include "db/log_run.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/mismatch.h"
#include "base/round.h"

namespace shoal {
namespace {

constexpr size_t kItemBytes[kRunArrays] = {sizeof(RunPoint), sizeof(RunKill), sizeof(RunLink),
                                           sizeof(RunLink)};
constexpr uint32_t kMerged = 8;  // Runs of one size.

// By the three parts of a slot number, least significant first: each step keeps the order of the
// steps before.
template <class Item>
void SortItems(std::vector<Item>& items) {
  constexpr unsigned kBits = 11;
  constexpr size_t kBuckets = size_t{1} << kBits;
  std::vector<Item> sorted(items.size());
  for (unsigned shift = 0; shift < 32; shift += kBits) {
    std::array<uint32_t, kBuckets + 1> starts{};
    for (const Item& item : items) ++starts[(item.slot >> shift) % kBuckets + 1];
    for (size_t i = 0; i < kBuckets; ++i) starts[i + 1] += starts[i];
    for (const Item& item : items) sorted[starts[(item.slot >> shift) % kBuckets]++] = item;
    items.swap(sorted);
  }
}

template <class Item>
Bytes BytesOfItems(const std::vector<Item>& items) {
  return {reinterpret_cast<const std::byte*>(items.data()), items.size() * sizeof(Item)};
}

uint32_t ChangesOf(const RunRecord& run) {
  return run.items[static_cast<size_t>(RunArray::kPoints)] +
         run.items[static_cast<size_t>(RunArray::kKills)];
}

}  // namespace

void RunArrays::Add(const LoggedPoint& point) {
  points.push_back({point.place, point.slot});
  anchored.push_back({point.anchor, point.slot});
  for (const SlotId word : point.list) named.push_back({word, point.slot});
}

void RunArrays::Sort() {
  SortItems(points);
  SortItems(kills);
  SortItems(anchored);
  SortItems(named);
}

std::vector<std::pair<Key, Block>> EncodeRun(uint32_t index, const RunArrays& arrays,
                                             RunRecord& record) {
  const Bytes all[kRunArrays] = {BytesOfItems(arrays.points), BytesOfItems(arrays.kills),
                                 BytesOfItems(arrays.anchored), BytesOfItems(arrays.named)};
  std::vector<std::pair<Key, Block>> values;
  for (uint32_t array = 0; array < kRunArrays; ++array) {
    const size_t item = kItemBytes[array];
    const size_t most = LogRun::kBlockBytes / item * item;
    record.items[array] = static_cast<uint32_t>(all[array].size() / item);
    uint32_t number = 0;
    for (size_t at = 0; at < all[array].size(); at += most, ++number) {
      const Bytes part = all[array].subspan(at, std::min(most, all[array].size() - at));
      Block block(sizeof(BlockHeader) + part.size());
      std::memcpy(block.data() + sizeof(BlockHeader), part.data(), part.size());
      SealBlock(block, {.kind = BlockKind::kRun,
                        .index = index,
                        .number = uint64_t{record.number} << 32 | number,
                        .generation = array,
                        .count = static_cast<uint32_t>(part.size() / item)});
      values.emplace_back(RunKey(index, record.number, array, number), std::move(block));
    }
  }
  return values;
}

LogRun::LogRun(const ReadTxn& txn, uint32_t index, const RunRecord& record)
    : txn_(&txn), index_(index), number_(record.number) {
  for (size_t array = 0; array < kRunArrays; ++array) {
    arrays_[array].name = static_cast<RunArray>(array);
    arrays_[array].size = record.items[array];
    arrays_[array].blocks.resize(
        DivideUp(size_t{record.items[array]}, kBlockBytes / kItemBytes[array]));
  }
}

LogRun::LogRun(std::unique_ptr<RunArrays> memory) : memory_(std::move(memory)) {
  const Bytes all[kRunArrays] = {BytesOfItems(memory_->points), BytesOfItems(memory_->kills),
                                 BytesOfItems(memory_->anchored), BytesOfItems(memory_->named)};
  for (size_t array = 0; array < kRunArrays; ++array) {
    arrays_[array].name = static_cast<RunArray>(array);
    arrays_[array].size = static_cast<uint32_t>(all[array].size() / kItemBytes[array]);
    arrays_[array].memory = all[array].data();
  }
}

const std::byte* LogRun::BlockOf(Array& array, uint32_t i, size_t item_bytes) {
  const size_t per_block = kBlockBytes / item_bytes;
  const auto number = static_cast<uint32_t>(i / per_block);
  if (array.blocks[number] != nullptr || !damage_) return array.blocks[number];
  const auto name = static_cast<uint32_t>(array.name);
  const BlockHeader expected{.kind = BlockKind::kRun,
                             .index = index_,
                             .number = uint64_t{number_} << 32 | number,
                             .generation = name};
  const std::string file = txn_->environment().path().string();
  const size_t bytes =
      sizeof(BlockHeader) + std::min(per_block, array.size - number * per_block) * item_bytes;
  const auto value = txn_->Get(Table::kRuns, RunKey(index_, number_, name, number));
  if (!value) {
    damage_ = tl::unexpected(value.error());
  } else if (value->size() != bytes) {
    damage_ = Mismatch(ErrorCode::kCorrupt, file + ": " + NameOfBlock(expected) + ": bytes",
                       std::to_string(bytes), std::to_string(value->size()));
  } else if (const auto header = CheckBlock(file, *value, expected); !header) {
    damage_ = tl::unexpected(header.error());
  } else {
    array.blocks[number] = value->data() + sizeof(BlockHeader);
  }
  return array.blocks[number];
}

Status LogRun::NotAscending() const {
  return Mismatch(ErrorCode::kCorrupt,
                  "index " + std::to_string(index_) + ", run " + std::to_string(number_),
                  "slots in ascending order", "others");
}

// These are few: nothing is written while the log is read.
Status RunWriter::AddEarlier(uint64_t last_commit) {
  IndexRecord earlier = record_;
  earlier.last_commit = last_commit;
  return ReadLog(txn_, earlier, record_.FirstInNoRun(),
                 {[this](const LoggedPoint& point) -> Status {
                    arrays_.Add(point);
                    return {};
                  },
                  [this](SlotId slot) -> Status {
                    arrays_.AddKill(slot);
                    return {};
                  }});
}

Status RunWriter::Add(const LoggedPoint& point) {
  arrays_.Add(point);
  return WriteIfFull();
}

Status RunWriter::AddKill(SlotId slot) {
  arrays_.AddKill(slot);
  return WriteIfFull();
}

Status RunWriter::Write() {
  if (arrays_.changes() == 0) return {};
  arrays_.Sort();
  RunRecord run{.number = record_.next_run++, .last_commit = record_.last_commit};
  for (const auto& [key, block] : EncodeRun(record_.number, arrays_, run))
    if (Status ok = txn_.Put(Table::kRuns, key, block); !ok) return ok;
  record_.runs.push_back(run);
  arrays_ = {};
  return {};
}

Status RunWriter::Finish() {
  record_.changes_in_no_run = 0;
  return Write();
}

Result<RunArrays> ReadRuns(const ReadTxn& txn, uint32_t index, std::span<const RunRecord> runs) {
  RunArrays all;
  for (const RunRecord& record : runs) {
    LogRun run(txn, index, record);
    const auto read = [&]<class Item>(RunArray array, std::vector<Item>& items) {
      return run.Each<Item>(array, 0, kNoSlot, [&](const Item& item) { items.push_back(item); });
    };
    Status ok = read(RunArray::kPoints, all.points);
    if (ok) ok = read(RunArray::kKills, all.kills);
    if (ok) ok = read(RunArray::kAnchored, all.anchored);
    if (ok) ok = read(RunArray::kNamed, all.named);
    if (!ok) return tl::unexpected(ok.error());
  }
  all.Sort();
  return all;
}

std::vector<RunRecord> RunsToMerge(const IndexRecord& record) {
  for (uint32_t least = 0, most = kMerged * kLeastInRun; most <= kMostInRun;
       least = most, most *= kMerged) {
    std::vector<RunRecord> some;
    for (const RunRecord& run : record.runs)
      if (ChangesOf(run) >= least && ChangesOf(run) < most) some.push_back(run);
    if (some.size() >= kMerged) return some;
  }
  return {};
}

}  // namespace shoal
