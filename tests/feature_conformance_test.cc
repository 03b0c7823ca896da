// The conformance kit over every store that comes with shoal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <tuple>

#include "support/feature_stores_under_test.h"

namespace shoal::testing {
namespace {

class FeatureConformance : public ::testing::TestWithParam<std::tuple<size_t, size_t>> {};

TEST_P(FeatureConformance, Holds) {
  const TempFolder folder;
  const auto [store, check] = GetParam();
  const Status status = FeatureStoreChecks()[check].run(AllStores()[store].make(folder));
  EXPECT_TRUE(status) << status.error().message;
}

std::string NameOf(const ::testing::TestParamInfo<FeatureConformance::ParamType>& test) {
  return AllStores()[std::get<0>(test.param)].name +
         FeatureStoreChecks()[std::get<1>(test.param)].name;
}

INSTANTIATE_TEST_SUITE_P(Stores, FeatureConformance,
                         ::testing::Combine(::testing::Range(size_t{0}, AllStores().size()),
                                            ::testing::Range(size_t{0},
                                                             FeatureStoreChecks().size())),
                         NameOf);

// The kit itself: a store with one mistake fails the check that is there for it.
enum class Mistake { kNone, kSharedBuffer, kKeyedByIdAlone, kKeyedBySlotAlone, kForgets, kStale };

// Rows in memory, fetched into a buffer: right but for the mistake.
class MistakenStore final : public FeatureStore {
 public:
  MistakenStore(size_t row_bytes, Mistake mistake) : row_bytes_(row_bytes), mistake_(mistake) {}
  size_t row_bytes() const override { return row_bytes_; }
  Status Put(FeatureKey key, const std::byte* row) override {
    const std::lock_guard lock(mutex_);
    rows_[NameOf(key)].assign(row, row + row_bytes_);
    return {};
  }
  void Free(FeatureKey key) override {
    const std::lock_guard lock(mutex_);
    if (mistake_ != Mistake::kKeyedBySlotAlone) rows_.erase(NameOf(key));
  }
  Result<std::unique_ptr<FeatureReader>> NewReader(size_t max_rows) override {
    return std::make_unique<Reader>(*this, max_rows);
  }

 private:
  class Reader final : public FeatureReader {
   public:
    Reader(MistakenStore& store, size_t max_rows)
        : store_(store), buffer_(max_rows, std::vector<std::byte>(store.row_bytes_)) {}
    Result<size_t> Fetch(std::span<const FeatureKey> keys,
                         std::span<const std::byte*> rows) override {
      const std::lock_guard lock(store_.mutex_);
      size_t found = 0;
      for (size_t i = 0; i < keys.size(); ++i) {
        const auto row = store_.rows_.find(store_.NameOf(keys[i]));
        rows[i] = nullptr;
        if (row == store_.rows_.end()) continue;
        std::vector<std::byte>& to = buffer_[store_.mistake_ == Mistake::kSharedBuffer ? 0 : i];
        to = row->second;
        if (store_.mistake_ == Mistake::kStale) to = seen_.emplace(keys[i].slot, to).first->second;
        rows[i] = to.data();
        ++found;
      }
      return store_.mistake_ == Mistake::kForgets ? keys.size() : found;
    }

   private:
    MistakenStore& store_;
    std::vector<std::vector<std::byte>> buffer_;
    std::map<uint32_t, std::vector<std::byte>> seen_;
  };

  std::pair<uint32_t, ExternalId> NameOf(FeatureKey key) const {
    if (mistake_ == Mistake::kKeyedByIdAlone) return {0, key.id};
    if (mistake_ == Mistake::kKeyedBySlotAlone) return {key.slot, 0};
    return {key.slot, key.id};
  }
  const size_t row_bytes_;
  const Mistake mistake_;
  std::mutex mutex_;
  std::map<std::pair<uint32_t, ExternalId>, std::vector<std::byte>> rows_;
};

// The names of the checks that fail.
std::vector<std::string> Failures(Mistake mistake) {
  FeatureStoreUnderTest test;
  test.row_bytes = 64;
  test.concurrent_calls = 2000;
  test.make = [=]() -> Result<std::unique_ptr<FeatureStore>> {
    return std::make_unique<MistakenStore>(64, mistake);
  };
  std::vector<std::string> failed;
  for (const FeatureStoreCheck& check : FeatureStoreChecks())
    if (!check.run(test)) failed.emplace_back(check.name);
  return failed;
}

using ::testing::Contains;
using ::testing::IsEmpty;

TEST(FeatureConformanceKit, NoCheckFailsForAStoreThatIsRight) {
  EXPECT_THAT(Failures(Mistake::kNone), IsEmpty());
}
TEST(FeatureConformanceKit, OneBufferForAllRowsIsFound) {
  EXPECT_THAT(Failures(Mistake::kSharedBuffer), Contains("AllRowsOfAFetchStandTogether"));
}
TEST(FeatureConformanceKit, AStoreKeyedByTheIdAloneIsFound) {
  EXPECT_THAT(Failures(Mistake::kKeyedByIdAlone), Contains("OneIdMayHaveTwoRows"));
}
TEST(FeatureConformanceKit, ARowForAnotherIdOfItsSlotIsFound) {
  EXPECT_THAT(Failures(Mistake::kKeyedBySlotAlone),
              Contains("AFreedSlotIsUsedAgainAndGivesNoRowUnderItsFormerId"));
}
TEST(FeatureConformanceKit, AMissingRowThatIsCountedIsFound) {
  EXPECT_THAT(Failures(Mistake::kForgets),
              Contains("MissingRowsAreLeftOutAndTheOthersKeepTheirPlaces"));
}
TEST(FeatureConformanceKit, AReaderThatKeepsWhatItReadIsFound) {
  EXPECT_THAT(Failures(Mistake::kStale), Contains("EveryReaderSeesAPutThatReturned"));
}

}  // namespace
}  // namespace shoal::testing
