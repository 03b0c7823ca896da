// Rows in memory: a column of records, each a row and whose it is.
#include <atomic>
#include <cstring>
#include <new>

#include "base/mismatch.h"
#include "base/round.h"
#include "features/feature_file.h"
#include "features/placed_reader.h"
#include "shoal/feature_stores.h"
#include "store/column.h"

namespace shoal {
namespace {

class RamFeatures final : public FeatureStore {
 public:
  explicit RamFeatures(size_t row_bytes)
      : row_bytes_(row_bytes),
        owner_at_(RoundUp(row_bytes, sizeof(Owner))),
        column_(owner_at_ + sizeof(Owner)) {}
  bool Init() { return group_.Init(); }

  size_t row_bytes() const override { return row_bytes_; }
  FeatureCounters& counters() { return counters_; }

  Status Grow(uint32_t slots) override {
    if (!group_.Commit(slots, budget_))
      return MakeError(ErrorCode::kOutOfMemory, "rows in memory: no memory for " + Written(slots));
    counters_.memory.store(budget_.used(), std::memory_order_relaxed);
    if (slots > slots_.load(std::memory_order_relaxed))
      slots_.store(slots, std::memory_order_release);
    return {};
  }

  Status Put(FeatureKey key, const std::byte* row) override {
    std::byte* const record = column_.At(key.slot);
    const Owner owner = {.id = key.id, .is_put = 1};
    std::memcpy(record, row, row_bytes_);
    std::memcpy(record + owner_at_, &owner, sizeof(owner));
    FeatureCounters::Add(counters_.bytes_written, row_bytes_);
    return {};
  }

  Result<const std::byte*> Find(FeatureKey key) const {
    if (key.slot >= slots_.load(std::memory_order_acquire)) return nullptr;
    const std::byte* const record = column_.At(key.slot);
    Owner owner;
    std::memcpy(&owner, record + owner_at_, sizeof(owner));
    return owner.is_put != 0 && owner.id == key.id ? record : nullptr;
  }

  Result<std::unique_ptr<FeatureReader>> NewReader(size_t /*max_rows*/) override {
    return PlacedReader<RamFeatures>::Make(*this);
  }

  std::optional<FeatureAddresses> Addresses() const override {
    return FeatureAddresses{column_.bases(), column_.shift(), column_.stride()};
  }
  FeatureStats Stats() const override { return counters_.Read(); }

 private:
  struct Owner {
    uint64_t id;
    uint64_t is_put;  // 0: the slot was never put.
  };

  const size_t row_bytes_;
  const size_t owner_at_;
  MemoryBudget budget_{0};
  Column column_;
  ColumnGroup group_{{&column_}};
  std::atomic<uint32_t> slots_{0};  // Release, pairs with Find: after their memory.
  FeatureCounters counters_;
};

}  // namespace

Result<std::unique_ptr<FeatureStore>> MakeRamFeatures(size_t row_bytes) {
  if (Status ok = CheckRange(ErrorCode::kInvalidArgument, "row_bytes", row_bytes, 1,
                             FeatureFile::kMaxRowBytes);
      !ok)
    return tl::unexpected(ok.error());
  try {
    auto store = std::make_unique<RamFeatures>(row_bytes);
    if (!store->Init()) return MakeError(ErrorCode::kOutOfMemory, "rows in memory: address space");
    return store;
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "rows in memory: no memory");
  }
}

}  // namespace shoal
