// A feature store of one's own: rows in a std::map. It passes the kit that every store must pass.
#include <map>
#include <mutex>
#include <vector>

#include "shoal/testing/feature_store_conformance.h"

using Key = std::pair<uint32_t, shoal::ExternalId>;

class MapStore final : public shoal::FeatureStore {
 public:
  explicit MapStore(size_t row_bytes) : row_bytes_(row_bytes) {}
  size_t row_bytes() const override { return row_bytes_; }

  shoal::Status Put(shoal::FeatureKey key, const std::byte* row) override {
    const std::lock_guard lock(mutex_);
    rows_[{key.slot, key.id}].assign(row, row + row_bytes_);
    return {};
  }
  void Free(shoal::FeatureKey key) override {
    const std::lock_guard lock(mutex_);
    rows_.erase({key.slot, key.id});
  }
  shoal::Result<std::unique_ptr<shoal::FeatureReader>> NewReader(size_t /*max_rows*/) override {
    return std::make_unique<Reader>(*this);
  }

 private:
  // Rows of a map stay where they are until they are erased, so pointers to them are enough.
  struct Reader final : shoal::FeatureReader {
    explicit Reader(MapStore& s) : store(s) {}
    shoal::Result<size_t> Fetch(std::span<const shoal::FeatureKey> keys,
                                std::span<const std::byte*> rows) override {
      const std::lock_guard lock(store.mutex_);
      size_t found = 0;
      for (size_t i = 0; i < keys.size(); ++i) {
        const auto row = store.rows_.find({keys[i].slot, keys[i].id});
        rows[i] = row == store.rows_.end() ? nullptr : row->second.data();
        found += rows[i] == nullptr ? 0 : 1;
      }
      return found;
    }
    MapStore& store;
  };

  const size_t row_bytes_;
  std::mutex mutex_;
  std::map<Key, std::vector<std::byte>> rows_;
};

int main() {
  shoal::testing::FeatureStoreUnderTest test;
  test.row_bytes = 512;
  test.make = [] { return std::make_unique<MapStore>(512); };
  return shoal::testing::PrintFeatureStoreChecks(test);
}
