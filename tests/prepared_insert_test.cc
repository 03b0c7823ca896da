// Inserts in two steps, with anything in between (IndexImpl::Prepare, Commit).
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "index_impl.h"
#include "shoal/exact.h"
#include "shoal/index.h"
#include "test_data.h"

namespace shoal {
namespace {

using Prepared = Result<PreparedInsert>;

class PreparedInsertTest : public testing::Test {
 protected:
  static constexpr size_t kDim = 8;
  static constexpr size_t kN = 500;

  void Fill(size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) ASSERT_TRUE(index_.Insert(i, rows_[i]));
  }
  IndexImpl& Impl() { return IndexImpl::Of(index_); }
  Prepared Prepare(ExternalId id, size_t row) { return Impl().Prepare(id, rows_[row]); }
  Status Commit(Prepared& prepared) { return Impl().Commit(std::move(*prepared)); }
  void ExpectWhole() {
    const Status whole = index_.CheckStructure();
    EXPECT_TRUE(whole) << whole.error().message;
    EXPECT_EQ(index_.Ids()->size(), index_.size());
  }
  void ExpectFound(ExternalId id, size_t row) {
    const auto hits = index_.Search(rows_[row], {.k = 1});
    ASSERT_TRUE(hits && hits->size() == 1);
    EXPECT_EQ(hits->front().id, id);
  }
  static ErrorCode CodeOf(const Status& status) {
    return status ? ErrorCode::kIo : status.error().code;
  }

  const test::Rows rows_ = test::Generator(ScalarType::kFloat32, {.dim = kDim}, 3).Many(3 * kN);
  Index index_ = *Index::Create({.dim = kDim, .max_degree = 8, .build_list_size = 32});
};

TEST_F(PreparedInsertTest, NoOtherCallSeesItBeforeTheCommitAndItsIdIsTaken) {
  Fill(0, 100);
  Prepared prepared = Prepare(1000, 200);
  ASSERT_TRUE(prepared);
  EXPECT_EQ(prepared->id(), 1000u);
  EXPECT_EQ(index_.size(), 100u);
  EXPECT_EQ(index_.Ids()->size(), 100u);
  EXPECT_FALSE(index_.Contains(1000));
  std::vector<float> copy(kDim);
  EXPECT_EQ(CodeOf(index_.Get(1000, copy)), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(index_.Delete(1000)), ErrorCode::kNotFound);
  const auto hits = index_.Search(rows_[200], {.k = 100, .search_list_size = 200});
  EXPECT_TRUE(std::none_of(hits->begin(), hits->end(), [](Hit hit) { return hit.id == 1000; }));
  EXPECT_EQ(CodeOf(index_.Insert(1000, rows_[201])), ErrorCode::kAlreadyExists);
  EXPECT_EQ(Prepare(1000, 201).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(Prepare(7, 201).error().code, ErrorCode::kAlreadyExists);
  ASSERT_TRUE(Commit(prepared));
  EXPECT_TRUE(index_.Contains(1000));
  ExpectFound(1000, 200);
  ExpectWhole();
}

TEST_F(PreparedInsertTest, ThatIsDroppedLeavesNothing) {
  Fill(0, 100);
  const IndexStats before = index_.Stats();
  for (int i = 0; i < 50; ++i) {
    Prepared prepared = Prepare(1000, 200 + i);
    ASSERT_TRUE(prepared);
    const PreparedInsert moved = std::move(*prepared);
    EXPECT_EQ(moved.id(), 1000u);
  }
  const IndexStats after = index_.Stats();
  EXPECT_EQ(after.edges, before.edges);
  EXPECT_EQ(after.slots_used, before.slots_used + 1) << "the same slot each time";
  EXPECT_FALSE(index_.Contains(1000));
  ExpectWhole();
  ASSERT_TRUE(index_.Insert(1000, rows_[200]));
  ExpectWhole();
}

// All points that it was linked to go, by every kind of repair, and others come.
TEST_F(PreparedInsertTest, IsCommittedWhereAllItsNeighborsAreGone) {
  for (const RepairPolicy repair : {RepairPolicy::kImmediate, RepairPolicy::kManual}) {
    index_ = *Index::Create(
        {.dim = kDim, .max_degree = 8, .build_list_size = 32, .runtime = {.repair = repair}});
    Fill(0, kN);
    Prepared committed = Prepare(5000, 0);
    Prepared dropped = Prepare(5001, 1);
    ASSERT_TRUE(committed && dropped);
    for (ExternalId id = 0; id < kN; ++id) {
      ASSERT_TRUE(index_.Delete(id));
      ASSERT_TRUE(index_.Insert(kN + id, rows_[kN + id]));
      ASSERT_TRUE(id % 100 != 0 || index_.Consolidate());
    }
    ASSERT_TRUE(index_.Consolidate());
    ASSERT_TRUE(index_.Compact());
    ASSERT_TRUE(Commit(committed));
    { const Prepared gone = std::move(dropped); }
    ExpectFound(5000, 0);
    ExpectWhole();
    // It has a list again: what comes next to it leads on.
    const auto hits = index_.Search(rows_[0], {.k = kN, .search_list_size = 2 * kN});
    EXPECT_EQ(hits->size(), kN);
  }
}

// Points that know nothing of each other when they are prepared make as good a graph as others.
TEST_F(PreparedInsertTest, ManyPreparedBeforeTheFirstCommitFindEachOther) {
  std::vector<Prepared> prepared;
  for (size_t i = 0; i < kN; ++i) {
    prepared.push_back(Prepare(i, i));
    ASSERT_TRUE(prepared.back());
  }
  for (Prepared& one : prepared) ASSERT_TRUE(Commit(one));
  prepared.clear();
  ExpectWhole();
  const MatrixView base = rows_.view().Slice(0, kN);
  const auto truth = ExactSearch(base, rows_.view().Slice(kN, kN), {.k = 10});
  double recall = 0;
  for (size_t query = 0; query < kN; ++query) {
    std::vector<uint64_t> found;
    for (const Hit& hit : *index_.Search(rows_[kN + query], {.k = 10})) found.push_back(hit.id);
    recall += Recall(*truth, query, found, 10) / kN;
  }
  EXPECT_GT(recall, 0.97);
}

TEST_F(PreparedInsertTest, ThatAnUpsertOvertakesComesTooLate) {
  Fill(0, 100);
  Prepared prepared = Prepare(1000, 200);
  ASSERT_TRUE(prepared);
  ASSERT_TRUE(index_.Upsert(1000, rows_[201]));
  ExpectFound(1000, 201);
  EXPECT_EQ(CodeOf(Commit(prepared)), ErrorCode::kAlreadyExists);
  ExpectFound(1000, 201);
  EXPECT_EQ(index_.size(), 101u);
  ExpectWhole();
}

TEST_F(PreparedInsertTest, OfAnUpsertReplacesThePointAtTheCommit) {
  Fill(0, 100);
  const auto prepare = [&](size_t row) { return Impl().PrepareUpsert(7, rows_[row]); };
  Prepared first = prepare(200);
  ASSERT_TRUE(first);
  ExpectFound(7, 7);
  { const Prepared dropped = prepare(201); }
  ExpectFound(7, 7);
  ASSERT_TRUE(index_.Delete(7));  // In between: the upsert comes after it.
  ASSERT_TRUE(Commit(first));
  ExpectFound(7, 200);
  Prepared second = prepare(202);
  ASSERT_TRUE(Commit(second));
  ExpectFound(7, 202);
  EXPECT_EQ(index_.size(), 100u);
  ASSERT_TRUE(index_.Consolidate());
  ExpectWhole();
}

}  // namespace
}  // namespace shoal
