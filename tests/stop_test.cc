// A stop token ends every call on many rows: with Cancelled, and with what was done in place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <stop_token>
#include <vector>

#include "shoal/database.h"
#include "shoal/diskann_files.h"
#include "shoal/exact.h"
#include "shoal/index.h"
#include "shoal/index_view.h"
#include "shoal/snapshot.h"
#include "temp_folder.h"
#include "test_data.h"

namespace shoal {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr size_t kRows = 2000;
constexpr uint32_t kDim = 8;

// Batch options whose first word of progress asks the call to stop.
struct StopAtFirstWord {
  BatchOptions batch(size_t threads = 1) {
    return {.threads = threads,
            .progress = [this](size_t, size_t) { source.request_stop(); },
            .stop = source.get_token()};
  }
  std::stop_source source;
};

// Those of a call that is asked to stop before it begins.
BatchOptions Stopped() {
  std::stop_source source;
  source.request_stop();
  return {.threads = 2, .stop = source.get_token()};
}

class Stop : public testing::Test {
 protected:
  Stop() {
    for (size_t i = 0; i < kRows; ++i) ids_.push_back(i);
  }
  void Fill() {
    const auto report = index_.InsertMany(ids_, rows_.view());
    ASSERT_TRUE(report && report->done == kRows);
  }
  template <class T>
  static void ExpectCancelled(const Result<T>& result, const std::string& what) {
    ASSERT_FALSE(result) << what;
    EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
    EXPECT_THAT(result.error().message, StartsWith(what + ": cancelled after "));
  }

  const test::Rows rows_ = test::Generator(ScalarType::kFloat32, {.dim = kDim}, 9).Many(kRows);
  std::vector<ExternalId> ids_;
  Index index_ = *Index::Create({.dim = kDim, .max_degree = 16, .build_list_size = 32});
};

TEST_F(Stop, OfInsertManyKeepsTheRowsThatAreDone) {
  const auto report = index_.InsertMany(ids_, rows_.view(), StopAtFirstWord().batch());
  ASSERT_TRUE(report);
  ExpectCancelled(report->status, "insert");
  EXPECT_GT(index_.size(), 0u);
  EXPECT_LT(index_.size(), kRows);
  EXPECT_EQ(report->done, index_.size());
  EXPECT_THAT(report->status.error().message,
              HasSubstr("after " + std::to_string(index_.size()) + " of 2000"));
  EXPECT_TRUE(index_.CheckStructure());
}

TEST_F(Stop, OfDeletesKeepsWhatIsDone) {
  Fill();
  const auto report = index_.DeleteMany(ids_, StopAtFirstWord().batch());
  ASSERT_TRUE(report);
  ExpectCancelled(report->status, "delete");
  EXPECT_GT(index_.size(), 0u);
  EXPECT_LT(index_.size(), kRows);
  EXPECT_EQ(report->done, kRows - index_.size());
  EXPECT_TRUE(index_.CheckStructure());
}

TEST_F(Stop, OfUpsertManyLeavesTheOtherPointsAsTheyWere) {
  Fill();
  const test::Rows others = test::Generator(ScalarType::kFloat32, {.dim = kDim}, 10).Many(kRows);
  const auto report = index_.UpsertMany(ids_, others.view(), StopAtFirstWord().batch());
  ASSERT_TRUE(report);
  ExpectCancelled(report->status, "upsert");
  EXPECT_EQ(index_.size(), kRows);
  size_t renewed = 0;
  std::vector<float> found(kDim);
  for (size_t i = 0; i < kRows; ++i) {
    ASSERT_TRUE(index_.Get(i, found));
    const bool is_new = std::memcmp(found.data(), others[i].data(), others[i].bytes()) == 0;
    renewed += is_new ? 1 : 0;
    const VectorView vector = is_new ? others[i] : rows_[i];
    EXPECT_EQ(std::memcmp(found.data(), vector.data(), vector.bytes()), 0) << i;
  }
  EXPECT_EQ(report->done, renewed);
  EXPECT_GT(renewed, 0u);
  EXPECT_LT(renewed, kRows);
  EXPECT_TRUE(index_.CheckStructure());
}

TEST_F(Stop, OfClearLeavesAWholeIndex) {
  Fill();
  ExpectCancelled(index_.Clear(Stopped()), "clear");
  EXPECT_EQ(index_.size(), kRows);
  ExpectCancelled(index_.Clear(StopAtFirstWord().batch()), "consolidate");
  EXPECT_EQ(index_.size(), 0u);
  EXPECT_GT(index_.Stats().pending_repairs, 0u);
  EXPECT_TRUE(index_.CheckStructure());
  ASSERT_TRUE(index_.Consolidate());
  EXPECT_EQ(index_.Stats().pending_repairs, 0u);
}

// Of rows that are all there, the few that are tried before the stop.
TEST_F(Stop, OfInsertManyLosesNoFailure) {
  Fill();
  const auto report = index_.InsertMany(ids_, rows_.view(), StopAtFirstWord().batch());
  ASSERT_TRUE(report);
  ExpectCancelled(report->status, "insert");
  EXPECT_EQ(report->done, 0u);
  ASSERT_GT(report->failures.size(), 0u);
  ASSERT_LT(report->failures.size(), kRows);
  for (size_t i = 0; i < report->failures.size(); ++i) {
    EXPECT_EQ(report->failures[i].error.code, ErrorCode::kAlreadyExists);
    EXPECT_TRUE(i == 0 || report->failures[i].row > report->failures[i - 1].row);
  }
}

TEST_F(Stop, OfGetManyLeavesTheOtherRows) {
  Fill();
  std::vector<float> out(kRows * kDim, -7);
  const auto report = index_.GetMany(ids_, {std::span(out), kDim}, StopAtFirstWord().batch());
  ASSERT_TRUE(report);
  ExpectCancelled(report->status, "get");
  EXPECT_GT(report->done, 0u);
  EXPECT_LT(report->done, kRows);
  EXPECT_EQ(std::memcmp(out.data(), rows_[0].data(), kDim * sizeof(float)), 0);
  EXPECT_EQ(out.back(), -7);
}

TEST_F(Stop, OfAConsolidationLeavesTheRestOfTheRepairsToTheNext) {
  index_ = *Index::Create({.dim = kDim, .runtime = {.repair = RepairPolicy::kManual}});
  Fill();
  ASSERT_TRUE(index_.DeleteMany(std::span(ids_).first(1000)));
  ExpectCancelled(index_.Consolidate(StopAtFirstWord().batch()), "consolidate");
  const uint64_t pending = index_.Stats().pending_repairs;
  EXPECT_GT(pending, 0u);
  EXPECT_LT(pending, 1000u);
  ExpectCancelled(index_.Consolidate(Stopped()), "consolidate");
  ExpectCancelled(index_.Compact(Stopped()), "consolidate");
  EXPECT_EQ(index_.Stats().pending_repairs, pending);
  ASSERT_TRUE(index_.Consolidate());
  EXPECT_EQ(index_.Stats().pending_repairs, 0u);
  ExpectCancelled(index_.Compact(StopAtFirstWord().batch()), "compact");
  EXPECT_TRUE(index_.CheckStructure());
  EXPECT_EQ(index_.size(), 1000u);
}

TEST_F(Stop, OfRefineLeavesTheGraphWhole) {
  Fill();
  ExpectCancelled(index_.Refine(StopAtFirstWord().batch()), "refine");
  EXPECT_TRUE(index_.CheckStructure());
}

TEST_F(Stop, OfSearchManyGivesTheOtherQueriesNoHits) {
  Fill();
  std::vector<ExternalId> ids(kRows);
  std::vector<uint32_t> counts(kRows, 99);
  ExpectCancelled(
      index_.SearchMany(rows_.view(), {.k = 1}, {ids, {}, counts}, StopAtFirstWord().batch()),
      "search");
  EXPECT_EQ(counts.front(), 1u);
  EXPECT_EQ(counts.back(), 0u);
}

// Those of an index, of a view, and of a database's snapshot.
TEST_F(Stop, OfSearchesIsHeardByWhateverIsSearched) {
  Fill();
  const TempFolder folder;
  ASSERT_TRUE(index_.Save(folder / "x"));
  const IndexView view = *IndexView::Open(folder / "x");
  Database database = *Database::Open(folder / "db", {.sync = SyncLevel::kNone});
  const StoredIndex stored = *database.CreateIndex("a", index_.options());
  Transaction change = *database.Begin();
  ASSERT_TRUE(change.InsertMany(stored, ids_, rows_.view()));
  ASSERT_TRUE(change.Commit());
  const DatabaseSnapshot snapshot = *DatabaseSnapshot::Open(folder / "db", "a");
  const auto expect_heard = [&](const auto& searched) {
    std::vector<ExternalId> ids(kRows);
    std::vector<uint32_t> counts(kRows, 99);
    const SearchManyOutput output{ids, {}, counts};
    StopAtFirstWord first, second;
    ExpectCancelled(searched.SearchMany(rows_.view(), {.k = 1}, output, first.batch()), "search");
    EXPECT_EQ(counts.front(), 1u);
    EXPECT_EQ(counts.back(), 0u);
    ExpectCancelled(searched.RangeSearchMany(rows_.view(), {.radius = 1}, second.batch()),
                    "search");
  };
  expect_heard(index_);
  expect_heard(view);
  expect_heard(snapshot);
  EXPECT_EQ(view.Verify(Stopped()).error().code, ErrorCode::kCancelled);
}

TEST_F(Stop, OfATransactionsInsertsLeavesThoseThatAreDoneToItsCommit) {
  const TempFolder folder;
  Database database = *Database::Open(folder / "db", {.sync = SyncLevel::kNone});
  const StoredIndex stored = *database.CreateIndex("a", index_.options());
  Transaction change = *database.Begin();
  StopAtFirstWord stop;
  const auto report = change.InsertMany(stored, ids_, rows_.view(), stop.batch());
  ASSERT_TRUE(report);
  ExpectCancelled(report->status, "insert");
  EXPECT_GT(report->done, 0u);
  EXPECT_LT(report->done, kRows);
  ASSERT_TRUE(change.Commit());
  EXPECT_EQ(stored.live().size(), report->done);
  EXPECT_EQ(DatabaseSnapshot::Open(folder / "db", "a")->size(), report->done);
}

// Of a database: its passes, copies, checks and dumps; each says how far it is.
TEST_F(Stop, OfWorkOnADatabaseLeavesItGoodAndNoHalfFile) {
  const TempFolder folder;
  Database database =
      *Database::Open(folder / "db", {.sync = SyncLevel::kNone, .least_changes = 1u << 20});
  const StoredIndex stored = *database.CreateIndex("a", index_.options());
  Transaction change = *database.Begin();
  ASSERT_TRUE(change.InsertMany(stored, ids_, rows_.view()));
  ASSERT_TRUE(change.Commit());
  const size_t entries = folder.Entries();
  const DatabaseSnapshot snapshot = *DatabaseSnapshot::Open(folder / "db", "a");
  const auto each = [&](const auto& call) {
    return std::vector<Status>{
        database.Pass(call()),
        database.Backup(folder / "copy", Database::Copy::kCompact, call()),
        BackupDatabase(folder / "db", folder / "copy2", Database::Copy::kAsItIs, call()),
        snapshot.Verify(call()),
        snapshot.Dump(folder / "rows.bin", folder / "ids.u64", call()),
    };
  };
  for (const Status& status : each([] { return Stopped(); })) {
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kCancelled) << status.error().message;
    EXPECT_THAT(status.error().message, HasSubstr("cancelled after "));
  }
  EXPECT_EQ(folder.Entries(), entries);
  EXPECT_EQ(database.Stat()->passes, 0u);
  EXPECT_EQ(database.Stat()->pending_changes, kRows);
  EXPECT_TRUE(snapshot.Verify());

  size_t ended = 0, words = 0;
  for (const Status& status : each([&] {
         return BatchOptions{.progress = [&](size_t done, size_t total) {
           EXPECT_LE(done, total);
           ++words;
           ended += done == total ? 1 : 0;
         }};
       }))
    EXPECT_TRUE(status) << status.error().message;
  EXPECT_EQ(ended, 5u);
  EXPECT_GT(words, 20u);
  EXPECT_EQ(folder.Entries(), entries + 4);
  EXPECT_EQ(database.Stat()->passes, 1u);
  EXPECT_EQ(database.Stat()->pending_changes, 0u);
  EXPECT_GT(database.Stat()->written_bytes, kRows * kDim * sizeof(float));
  for (const char* const copy : {"db", "copy", "copy2"}) {
    const Result<DatabaseSnapshot> whole = DatabaseSnapshot::Open(folder / copy, "a");
    ASSERT_TRUE(whole) << whole.error().message;
    EXPECT_TRUE(whole->Verify());
    EXPECT_EQ(whole->size(), kRows);
  }
}

// In the middle of it, at whatever call of `progress`.
TEST_F(Stop, OfACopyOfADatabaseMayComeAtAnyTime) {
  const TempFolder folder;
  Database database = *Database::Open(folder / "db", {.sync = SyncLevel::kNone});
  const StoredIndex stored = *database.CreateIndex("a", {.dim = 512, .max_degree = 8});
  const test::Rows rows = test::Generator(ScalarType::kFloat32, {.dim = 512}, 9).Many(kRows);
  Transaction change = *database.Begin();
  ASSERT_TRUE(change.InsertMany(stored, ids_, rows.view()));
  ASSERT_TRUE(change.Commit());
  const size_t entries = folder.Entries();
  size_t cancelled = 0;
  for (const auto copy : {Database::Copy::kCompact, Database::Copy::kAsItIs}) {
    for (size_t at = 1; at <= 12; ++at) {
      std::stop_source source;
      size_t calls = 0;
      const Status status = database.Backup(folder / "copy", copy,
                                            {.progress =
                                                 [&](size_t, size_t) {
                                                   if (++calls == at) source.request_stop();
                                                 },
                                             .stop = source.get_token()});
      if (status) {
        EXPECT_TRUE(DatabaseSnapshot::Open(folder / "copy", "a")->Verify());
        for (const char* const file : {"copy", "copy-lock"}) std::filesystem::remove(folder / file);
        continue;
      }
      ++cancelled;
      EXPECT_EQ(status.error().code, ErrorCode::kCancelled) << status.error().message;
      EXPECT_EQ(folder.Entries(), entries);
    }
  }
  EXPECT_GT(cancelled, 10u);
}

TEST_F(Stop, OfASaveLeavesTheOlderFileAndNoOther) {
  Fill();
  const TempFolder folder;
  ASSERT_TRUE(index_.Save(folder / "x"));
  const std::string before = ReadBytes(folder / "x");
  ASSERT_TRUE(index_.Delete(0));
  ExpectCancelled(index_.Save(folder / "x", StopAtFirstWord().batch()), "save");
  EXPECT_EQ(folder.Entries(), 1u);
  EXPECT_EQ(ReadBytes(folder / "x"), before);
  ExpectCancelled(Index::Load(folder / "x", {.batch = Stopped()}), "load");
  ExpectCancelled(Index::Load(folder / "x", {.batch = StopAtFirstWord().batch()}), "load");
  const auto verified = VerifySnapshot(folder / "x", Stopped());
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code, ErrorCode::kCancelled);
}

// In the last of its three passes.
TEST_F(Stop, OfLoadDiskannIsHeardToTheEnd) {
  const test::Rows rows = test::Generator(ScalarType::kFloat32, {.dim = 4}, 9).Many(9000);
  Index index = *Index::Create({.dim = 4, .max_degree = 4, .build_list_size = 8});
  ASSERT_TRUE(index.InsertMany(test::Iota(rows.size()), rows.view()));
  const TempFolder folder;
  ASSERT_TRUE(SaveDiskann(index, folder / "x"));
  std::stop_source source;
  const auto stop_late = [&](size_t done, size_t total) {
    if (3 * done > 2 * total) source.request_stop();
  };
  const auto loaded = LoadDiskann(
      folder / "x",
      {.index = {.max_degree = 4}, .batch = {.progress = stop_late, .stop = source.get_token()}});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kCancelled);
}

TEST_F(Stop, OfExactSearchGivesNothing) {
  ExpectCancelled(ExactSearch(rows_.view(), rows_.view(), {.k = 1, .batch = Stopped()}),
                  "exact search");
}

TEST_F(Stop, AfterAllIsDoneChangesNothing) {
  std::stop_source source;
  const auto last = [&](size_t done, size_t total) {
    if (done == total) source.request_stop();
  };
  const auto report = index_.InsertMany(
      ids_, rows_.view(), {.threads = 2, .progress = last, .stop = source.get_token()});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->done, kRows);
}

}  // namespace
}  // namespace shoal
