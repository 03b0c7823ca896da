#include "db/map_features.h"

#include <cstring>
#include <new>
#include <optional>
#include <string>

#include "base/mismatch.h"

namespace shoal {

class MapFeatures::Reader final : public FeatureReader {
 public:
  Reader(MapFeatures& store, size_t max_rows)
      : store_(store), fresh_(new std::byte[max_rows * store.vector_bytes_]) {}

  Result<size_t> Fetch(std::span<const FeatureKey> keys,
                       std::span<const std::byte*> rows) override {
    try {
      return FetchRows(keys, rows);
    } catch (const std::bad_alloc&) {
      return NoMemory();
    }
  }
  void Rest() override { txn_.reset(); }

 private:
  Result<size_t> FetchRows(std::span<const FeatureKey> keys, std::span<const std::byte*> rows) {
    uint64_t version = 0;
    const size_t fresh = CopyFresh(keys, rows, version);
    if (fresh == keys.size()) return fresh;
    if (!txn_ || version_ < version) {
      txn_.reset();
      Result<ReadTxn> txn = store_.environment_->Read();
      if (!txn) return tl::unexpected(txn.error());
      txn_.emplace(std::move(*txn));
      version_ = version;
    }
    size_t found = fresh;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (rows[i] != nullptr) continue;
      const Result<const std::byte*> row = Find(keys[i].slot);
      if (!row) return tl::unexpected(row.error());
      rows[i] = *row;
      found += *row == nullptr ? 0 : 1;
    }
    return found;
  }

  // FETCH.1
  size_t CopyFresh(std::span<const FeatureKey> keys, std::span<const std::byte*> rows,
                   uint64_t& version) {
    const std::lock_guard lock(store_.mutex_);
    version = store_.version_;
    size_t found = 0;
    for (size_t i = 0; i < keys.size(); ++i) {
      rows[i] = nullptr;
      const auto at = store_.fresh_.find(keys[i].slot);
      if (at == store_.fresh_.end()) continue;
      std::byte* const copy = fresh_.get() + i * store_.vector_bytes_;
      std::memcpy(copy, at->second.get(), store_.vector_bytes_);
      rows[i] = copy;
      ++found;
    }
    return found;
  }

  // The checksum of a block is compared when it is met at another address than before.
  Result<const std::byte*> Find(SlotId slot) {
    const uint32_t b = slot / store_.geometry_.rows_per_block;
    const auto value = txn_->Get(Table::kRows, RowsKey(store_.index_, b));
    if (!value) return tl::unexpected(value.error());
    if (value->empty()) return nullptr;
    if (b >= checked_.size()) checked_.resize(b + b / 4 + 64);
    if (checked_[b] != value->data()) {
      const std::string& file = store_.environment_->path().native();
      const BlockHeader expected{.kind = BlockKind::kRows, .index = store_.index_, .number = b};
      if (value->size() != store_.geometry_.row_block_bytes)
        return Mismatch(ErrorCode::kCorrupt, file + ": " + NameOfBlock(expected) + ": bytes",
                        std::to_string(store_.geometry_.row_block_bytes),
                        std::to_string(value->size()));
      if (const auto header = CheckBlock(file, *value, expected); !header)
        return tl::unexpected(header.error());
      checked_[b] = value->data();
    }
    return value->data() + store_.geometry_.RowOffset(slot);
  }

  MapFeatures& store_;
  const std::unique_ptr<std::byte[]> fresh_;
  std::optional<ReadTxn> txn_;
  uint64_t version_ = 0;  // Of the transaction.
  std::vector<const std::byte*> checked_;
};

Status MapFeatures::Put(FeatureKey key, const std::byte* row) {
  try {
    std::unique_ptr<std::byte[]> copy(new std::byte[vector_bytes_]);
    std::memcpy(copy.get(), row, vector_bytes_);
    const std::lock_guard lock(mutex_);
    fresh_[key.slot] = std::move(copy);
    return {};
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

// What was never committed.
void MapFeatures::Free(FeatureKey key) {
  const std::lock_guard lock(mutex_);
  fresh_.erase(key.slot);
}

Result<std::unique_ptr<FeatureReader>> MapFeatures::NewReader(size_t max_rows) {
  try {
    return std::unique_ptr<FeatureReader>(std::make_unique<Reader>(*this, max_rows));
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

FeatureStats MapFeatures::Stats() const {
  const std::lock_guard lock(mutex_);
  FeatureStats stats;
  stats.memory = fresh_.size() * vector_bytes_;
  return stats;
}

bool MapFeatures::CopyFresh(SlotId slot, std::byte* out) const {
  const std::lock_guard lock(mutex_);
  const auto at = fresh_.find(slot);
  if (at == fresh_.end()) return false;
  std::memcpy(out, at->second.get(), vector_bytes_);
  return true;
}

void MapFeatures::Forget(std::span<const SlotId> slots) {
  const std::lock_guard lock(mutex_);  // FORGET.1
  ++version_;
  for (const SlotId slot : slots) fresh_.erase(slot);
}

}  // namespace shoal
