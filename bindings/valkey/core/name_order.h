// The slots of a set's elements in byte order of their names: a list of sorted blocks. It finds
// names, and pages through them. Four to eight bytes an element.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "element_table.h"

namespace shoal::vset {

// Owner only, but bytes().
class NameOrder {
 public:
  explicit NameOrder(const ElementTable& table) : table_(table) {}

  // Before which element something is. Valid until the order changes.
  struct Position {
    size_t block = 0;
    size_t place = 0;
  };
  enum class Bound : uint8_t { kNotBefore, kBehind };

  // The first element whose name is not before `name`, or is behind it.
  Position Find(std::string_view name, Bound bound) const {
    const auto is_before = [&](std::string_view other) {
      return bound == Bound::kNotBefore ? other < name : other <= name;
    };
    // The first block whose last element is not before it.
    const auto block = std::partition_point(blocks_.begin(), blocks_.end(), [&](const Block& b) {
      return is_before(NameOf(b.back()));
    });
    if (block == blocks_.end()) return End();
    const auto place = std::partition_point(block->begin(), block->end(),
                                            [&](Slot slot) { return is_before(NameOf(slot)); });
    return {static_cast<size_t>(block - blocks_.begin()),
            static_cast<size_t>(place - block->begin())};
  }
  std::optional<Slot> Find(std::string_view name) const {
    const Position position = Find(name, Bound::kNotBefore);
    if (IsEnd(position) || NameOf(At(position)) != name) return std::nullopt;
    return At(position);
  }
  Position Begin() const { return {}; }
  Position End() const { return {blocks_.size(), 0}; }
  bool IsEnd(const Position& position) const { return position.block == blocks_.size(); }
  Slot At(const Position& position) const { return blocks_[position.block][position.place]; }
  Position Next(Position position) const {
    if (++position.place == blocks_[position.block].size()) position = {position.block + 1, 0};
    return position;
  }

  // A name that is not there.
  void Insert(std::string_view name, Slot slot) {
    Position position = Find(name, Bound::kNotBefore);
    if (IsEnd(position)) {
      if (blocks_.empty()) blocks_.emplace_back();
      position = {blocks_.size() - 1, blocks_.back().size()};
    }
    Block& block = blocks_[position.block];
    block.insert(block.begin() + static_cast<std::ptrdiff_t>(position.place), slot);
    if (block.size() == kMaxBlock) {
      const auto half = block.begin() + static_cast<std::ptrdiff_t>(block.size() / 2);
      Block upper(half, block.end());
      block.erase(half, block.end());
      blocks_.insert(blocks_.begin() + static_cast<std::ptrdiff_t>(position.block) + 1,
                     std::move(upper));
    }
    UpdateBytes();
  }
  // A name that is there.
  void Erase(std::string_view name) {
    const Position position = Find(name, Bound::kNotBefore);
    Block& block = blocks_[position.block];
    block.erase(block.begin() + static_cast<std::ptrdiff_t>(position.place));
    if (block.empty()) blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(position.block));
    UpdateBytes();
  }

  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  using Block = std::vector<Slot>;  // Never empty.
  static constexpr size_t kMaxBlock = 256;

  std::string_view NameOf(Slot slot) const { return table_.At(slot)->name(); }
  void UpdateBytes() {
    const size_t slots = blocks_.size() == 1 ? blocks_[0].capacity() : blocks_.size() * kMaxBlock;
    bytes_.store(
        blocks_.capacity() * sizeof(Block) + slots * sizeof(Slot) + blocks_.size() * kBlockOverhead,
        std::memory_order_relaxed);
  }

  const ElementTable& table_;
  std::vector<Block> blocks_;
  std::atomic<size_t> bytes_ = 0;
};

}  // namespace shoal::vset
