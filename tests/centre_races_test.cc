// Directed races of a code's centre that is renewed: no search misses a point that was there all
// the while.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "index_impl.h"
#include "shoal/index.h"
#include "support/sequencer.h"
#include "tests/temp_folder.h"

namespace shoal::testing {
namespace {

using Phase = CentreRenewal::Phase;

constexpr size_t kDim = 16;
constexpr ExternalId kFirst = CentreWatch::kBegin - 10;  // Points before the watch has a verdict.
constexpr ExternalId kFar = 1'000'000;                   // Ids from here on lie behind all others.
constexpr size_t kNearest = 100;

class CentreRaceTest : public ::testing::Test {
 protected:
  using Vector = std::array<float, kDim>;

  // Away from the origin, each at a place of its own.
  static Vector At(ExternalId id) {
    Vector vector;
    for (size_t i = 0; i < kDim; ++i)
      vector[i] = 8.0f + static_cast<float>((id * 2654435761u >> (i + 4)) % 64) * 0.1f;
    vector[0] += static_cast<float>(id % kFar) * 0.01f + (id < kFar ? 0.0f : 100.0f);
    return vector;
  }
  CentreRaceTest() { InsertTo(kFirst); }

  void InsertTo(ExternalId end) {
    for (; next_ < end; ++next_) ASSERT_TRUE(index_.Insert(next_, At(next_)));
  }
  void InsertFar(size_t n) {
    for (; n > 0; --n, ++next_) ASSERT_TRUE(index_.Insert(kFar + next_, At(kFar + next_)));
  }
  // Inserts points until the renewal is in this phase.
  bool InsertUntil(Phase phase) {
    for (int i = 0; i < 2000 && impl().renewal().Now() != phase; ++i) InsertTo(next_ + 1);
    return impl().renewal().Now() == phase;
  }
  using Ids = std::set<ExternalId>;
  Ids Find() const {
    Ids found;
    const SearchOptions options{.k = kNearest, .search_list_size = 5000, .rerank = 5000};
    for (const Hit& hit : *index_.Search(At(3), options))
      EXPECT_TRUE(found.insert(hit.id).second) << hit.id;
    return found;
  }
  // The nearest of ids [0, end).
  static Ids Nearest(ExternalId end) {
    std::vector<std::pair<float, ExternalId>> all;
    for (ExternalId id = 0; id < end; ++id) {
      float sum = 0;
      for (size_t i = 0; i < kDim; ++i) sum += (At(id)[i] - At(3)[i]) * (At(id)[i] - At(3)[i]);
      all.emplace_back(sum, id);
    }
    std::sort(all.begin(), all.end());
    Ids nearest;
    for (size_t i = 0; i < kNearest; ++i) nearest.insert(all[i].second);
    return nearest;
  }
  IndexImpl& impl() { return IndexImpl::Of(index_); }

  Index index_ =
      *Index::Create({.dim = kDim, .code = Code::kRq3, .max_degree = 8, .build_list_size = 16});
  ExternalId next_ = 0;
};

TEST_F(CentreRaceTest, NoRowHasASetThatASearchDoesNotKnow) {
  Ids found;
  Sequencer sequencer;
  sequencer.Start("search", [&] { found = Find(); });
  ASSERT_TRUE(sequencer.RunTo("search", "search.after_copy"));
  InsertFar(300);
  EXPECT_EQ(impl().renewal().Now(), Phase::kAnnounced) << "it waits for the search";
  ASSERT_TRUE(sequencer.RunToEnd("search"));
  EXPECT_EQ(found, Nearest(kFirst));
  ASSERT_TRUE(InsertUntil(Phase::kMoving)) << "it waits no longer";
}

TEST_F(CentreRaceTest, ASearchFindsPointsThatAreMovedMeanwhileAndTheirSetStays) {
  ASSERT_TRUE(InsertUntil(Phase::kMoving));
  InsertTo(next_ + 20);
  const ExternalId there = next_;
  Ids found;
  Sequencer sequencer;
  sequencer.Start("search", [&] { found = Find(); });
  ASSERT_TRUE(sequencer.RunTo("search", "search.after_copy"));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(index_.Consolidate());
  InsertFar(300);
  EXPECT_TRUE(impl().renewal().active()) << "the old set is not dropped under the search";
  ASSERT_TRUE(sequencer.RunToEnd("search"));
  EXPECT_EQ(found, Nearest(there));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(index_.Consolidate());
  EXPECT_FALSE(impl().renewal().active());
  EXPECT_TRUE(index_.CheckStructure());
  EXPECT_EQ(Find(), Nearest(there));
}

TEST_F(CentreRaceTest, ARowThatIsEncodedWhenTheSetChangesIsFoundAfterwards) {
  ASSERT_TRUE(InsertUntil(Phase::kAnnounced));
  constexpr ExternalId kLate = 100000;
  Sequencer sequencer;
  sequencer.Start("insert", [&] { EXPECT_TRUE(index_.Insert(kLate, At(kLate % 1000))); });
  ASSERT_TRUE(sequencer.RunTo("insert", "insert.reserved"));
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(index_.Consolidate());
  EXPECT_FALSE(impl().renewal().active()) << "a row that no search sees does not hold it up";
  ASSERT_TRUE(sequencer.RunToEnd("insert"));
  EXPECT_TRUE(index_.CheckStructure());
  EXPECT_EQ(index_.Search(At(kLate % 1000), {.k = 2}).value().at(1).distance, 0);
}

TEST_F(CentreRaceTest, ASnapshotOfAnInstantOfTheRenewalIsWhole) {
  ASSERT_TRUE(InsertUntil(Phase::kMoving));
  InsertTo(next_ + 20);
  const ExternalId there = next_;
  TempFolder folder;
  Sequencer sequencer;
  sequencer.Start("save", [&] { EXPECT_TRUE(index_.Save(folder / "index")); });
  ASSERT_TRUE(sequencer.RunTo("save", "save.after_points"));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(index_.Consolidate());
  InsertFar(300);
  ASSERT_TRUE(sequencer.RunToEnd("save"));
  Result<Index> loaded = Index::Load(folder / "index");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->size(), there);
  EXPECT_TRUE(loaded->CheckStructure());
  EXPECT_TRUE(IndexImpl::Of(*loaded).renewal().active());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(loaded->Consolidate());
  EXPECT_FALSE(IndexImpl::Of(*loaded).renewal().active());
  EXPECT_TRUE(loaded->CheckStructure());
}

}  // namespace
}  // namespace shoal::testing
