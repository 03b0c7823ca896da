// Directed races of the disk store's page cache (src/features/page_cache.h).
#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "shoal/feature_stores.h"
#include "shoal/testing/feature_store_conformance.h"
#include "support/sequencer.h"
#include "temp_folder.h"

namespace shoal::testing {
namespace {

constexpr size_t kRowBytes = 100;
constexpr FeatureKey kFormer = {3, 30}, kNext = {3, 31}, kBeside = {4, 40};

class FeatureRaces : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = OpenDiskFeatures(folder_ / "rows", kRowBytes, {.cache_bytes = 1 << 20});
    ASSERT_TRUE(store) << store.error().message;
    store_ = *std::move(store);
    for (auto& reader : readers_) {
      auto made = store_->NewReader(4);
      ASSERT_TRUE(made) << made.error().message;
      reader = *std::move(made);
    }
    Put(kFormer);
    Put(kBeside);
  }

  void Put(FeatureKey key) {
    const Status put = store_->Put(key, conformance::Row(kRowBytes, key, 0).data());
    EXPECT_TRUE(put) << put.error().message;
  }
  // Whether a reader gets the key's row.
  bool Has(FeatureKey key, size_t reader) {
    std::array<const std::byte*, 1> rows = {};
    const Result<size_t> found = readers_[reader]->Fetch(std::array{key}, rows);
    EXPECT_TRUE(found) << found.error().message;
    return conformance::Row(kRowBytes, key, 0) == rows[0];
  }
  uint64_t Hits() const { return store_->Stats().hits; }

  const TempFolder folder_;
  std::unique_ptr<FeatureStore> store_;
  std::array<std::unique_ptr<FeatureReader>, 2> readers_;
};

TEST_F(FeatureRaces, AFillThatBeganBeforeAPutDoesNotBringTheFormerRowBack) {
  Sequencer sequencer;
  sequencer.Start("read", [&] { EXPECT_TRUE(Has(kBeside, 0)); });
  sequencer.Start("write", [&] { Put(kNext); });
  ASSERT_TRUE(sequencer.RunTo("read", "fill.read"));  // It has read the page, with kFormer in it.
  ASSERT_TRUE(sequencer.RunToEnd("write"));
  ASSERT_TRUE(sequencer.RunToEnd("read"));  // Its page is of an old version.
  EXPECT_TRUE(Has(kNext, 1));
  EXPECT_EQ(Hits(), 0u);
  EXPECT_TRUE(Has(kNext, 0));  // From the cache, where the fill since the Put has brought it.
  EXPECT_EQ(Hits(), 1u);
}

TEST_F(FeatureRaces, AFillBetweenTheWriteAndItsEndIsTakenOut) {
  Sequencer sequencer;
  sequencer.Start("read", [&] { EXPECT_TRUE(Has(kBeside, 0)); });
  sequencer.Start("write", [&] { Put(kNext); });
  ASSERT_TRUE(sequencer.RunTo("read", "fill.read"));
  ASSERT_TRUE(sequencer.RunTo("write", "put.written"));
  ASSERT_TRUE(sequencer.RunToEnd("read"));  // Enters the page with kFormer: no Put has returned.
  ASSERT_TRUE(sequencer.RunToEnd("write"));
  EXPECT_TRUE(Has(kNext, 1));
  EXPECT_EQ(Hits(), 0u);
}

}  // namespace
}  // namespace shoal::testing
