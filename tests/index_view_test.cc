// A snapshot that is searched in place gives the answers of the index that is loaded from it.
#include "shoal/index_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "shoal/snapshot.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;
using ::testing::HasSubstr;

constexpr uint32_t kDim = 12;

ExternalId IdOf(size_t row) { return row % 2 == 0 ? row * 7919 : UINT64_MAX - row; }

Rows RandomRows(ScalarType type, size_t n, uint64_t seed) {
  return test::Generator(type, {.dim = kDim, .clusters = 8, .norm_sigma = 0.2}, seed).Many(n);
}

void Fill(Index& index, const Rows& rows) {
  for (size_t i = 0; i < rows.size(); ++i) ASSERT_TRUE(index.Insert(IdOf(i), rows[i]));
}

IndexView OpenView(const std::filesystem::path& path) {
  Result<IndexView> view = IndexView::Open(path);
  EXPECT_TRUE(view) << view.error().message;
  return std::move(*view);
}

void ExpectSameHits(const std::vector<Hit>& a, const std::vector<Hit>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].id, b[i].id) << i;
    EXPECT_EQ(std::memcmp(&a[i].distance, &b[i].distance, sizeof(float)), 0) << i;
  }
}

class Views : public ::testing::TestWithParam<test::TypeAndMetric> {
 protected:
  Index Make() const {
    return *Index::Create({.dim = kDim,
                           .scalar_type = std::get<0>(GetParam()),
                           .metric = std::get<1>(GetParam()),
                           .max_degree = 16,
                           .build_list_size = 40,
                           .runtime = {.repair = RepairPolicy::kManual}});
  }
  // At rest, answers of every kind are those of the loaded index, and cost as much.
  void ExpectLoadedAnswers(const Rows& queries) {
    const Index loaded = std::move(*Index::Load(path_));
    const IndexView view = OpenView(path_);
    ASSERT_EQ(view.size(), loaded.size());
    for (size_t q = 0; q < queries.size(); ++q) {
      for (const auto& [k, list_size] : {std::pair{1, 1}, {10, 10}, {10, 64}, {100, 200}}) {
        const SearchOptions options{.k = static_cast<size_t>(k),
                                    .search_list_size = static_cast<size_t>(list_size)};
        const auto hits = loaded.Search(queries[q], options);
        ExpectSameHits(*view.Search(queries[q], options), *hits);
        if (hits->empty()) continue;
        const float radius = hits->back().distance;
        ExpectSameHits(*view.RangeSearch(queries[q], {.radius = radius}),
                       *loaded.RangeSearch(queries[q], {.radius = radius}));
        std::vector<ExternalId> ids(k);
        WorkCounters by_view, by_index;
        ASSERT_TRUE(view.Search(queries[q], options, ids, {}, &by_view));
        ASSERT_TRUE(loaded.Search(queries[q], options, ids, {}, &by_index));
        EXPECT_EQ(by_view.distances, by_index.distances);
        EXPECT_EQ(by_view.hops, by_index.hops);
      }
    }
  }

  TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "x";
};
INSTANTIATE_TEST_SUITE_P(All, Views, test::AllTypesAndMetrics(), test::NameOfCase);

TEST_P(Views, GiveTheAnswersOfTheLoadedIndex) {
  const Rows rows = RandomRows(std::get<0>(GetParam()), 1500, 1);
  Index index = Make();
  Fill(index, rows);
  ASSERT_TRUE(index.Save(path_));
  ExpectLoadedAnswers(RandomRows(std::get<0>(GetParam()), 20, 2));
}

// Load may link a point anew that the view finds at its anchor.
TEST_P(Views, FindEveryPointThatIsLiveWhileDeletedOnesWaitForTheirRepair) {
  const Rows rows = RandomRows(std::get<0>(GetParam()), 1200, 3);
  Index index = Make();
  Fill(index, rows);
  std::vector<ExternalId> live;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i % 3 == 0) {
      live.push_back(IdOf(i));
    } else {
      ASSERT_TRUE(index.Delete(IdOf(i)));
    }
  }
  ASSERT_TRUE(index.Save(path_));
  const IndexView view = OpenView(path_);
  for (size_t q = 0; q < 10; ++q) {
    std::vector<ExternalId> found;
    for (const Hit& hit : *view.Search(rows[q], {.k = rows.size()})) found.push_back(hit.id);
    EXPECT_THAT(found, ::testing::UnorderedElementsAreArray(live));
  }
}

TEST_P(Views, KnowTheVectorOfEachId) {
  const Rows rows = RandomRows(std::get<0>(GetParam()), 300, 5);
  Index index = Make();
  Fill(index, rows);
  ASSERT_TRUE(index.Save(path_));
  const IndexView view = OpenView(path_);
  const size_t bytes = BytesOf(std::get<0>(GetParam()), kDim);
  std::string found(bytes, 0);
  const MutableVectorView vector(found.data(), std::get<0>(GetParam()), kDim);
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSERT_TRUE(view.Contains(IdOf(i)));
    ASSERT_TRUE(view.Get(IdOf(i), vector));
    EXPECT_EQ(std::memcmp(found.data(), rows[i].data(), bytes), 0);
  }
  EXPECT_FALSE(view.Contains(3));
  EXPECT_EQ(view.Get(3, vector).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(view.Get(IdOf(0), MutableVectorView(found.data(), std::get<0>(GetParam()), kDim - 1))
                .error()
                .code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(view.ids().size(), rows.size());
  EXPECT_EQ(view.options().metric, std::get<1>(GetParam()));
  EXPECT_TRUE(view.Verify());
}

class View : public ::testing::Test {
 protected:
  Index Make(size_t points) {
    rows_ = RandomRows(ScalarType::kFloat32, points, 7);
    Index index = *Index::Create({.dim = kDim, .max_degree = 8, .build_list_size = 20});
    Fill(index, rows_);
    return index;
  }

  TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "x";
  Rows rows_{ScalarType::kFloat32, kDim};
};

TEST_F(View, OfNoPointsAndOfOneAnswers) {
  for (const size_t points : {0, 1}) {
    ASSERT_TRUE(Make(points).Save(path_));
    const IndexView view = OpenView(path_);
    EXPECT_EQ(view.size(), points);
    EXPECT_EQ(view.Search(std::vector<float>(kDim, 1), {.k = 3})->size(), points);
    EXPECT_EQ(view.Contains(IdOf(0)), points == 1);
  }
}

TEST_F(View, BatchesAreSingleSearches) {
  ASSERT_TRUE(Make(500).Save(path_));
  const IndexView view = OpenView(path_);
  constexpr size_t kK = 5;
  std::vector<ExternalId> ids(rows_.size() * kK);
  std::vector<float> distances(ids.size());
  std::vector<uint32_t> counts(rows_.size());
  ASSERT_TRUE(view.SearchMany(rows_.view(), {.k = kK},
                              {.ids = ids, .distances = distances, .counts = counts}));
  for (size_t i = 0; i < rows_.size(); ++i) {
    const auto hits = view.Search(rows_[i], {.k = kK});
    ASSERT_EQ(counts[i], hits->size());
    for (size_t j = 0; j < counts[i]; ++j) EXPECT_EQ(ids[i * kK + j], (*hits)[j].id);
  }
}

TEST_F(View, StaysWhatItWasWhenTheFileIsReplaced) {
  Index index = Make(400);
  ASSERT_TRUE(index.Save(path_));
  const IndexView before = OpenView(path_);
  const auto hits = before.Search(rows_[3], {.k = 10});
  ASSERT_TRUE(index.Clear());
  ASSERT_TRUE(index.Save(path_));
  ExpectSameHits(*before.Search(rows_[3], {.k = 10}), *hits);
  EXPECT_EQ(OpenView(path_).size(), 0u);
}

TEST_F(View, IsSearchedByManyProcessesAndThreadsAtOnce) {
  ASSERT_TRUE(Make(600).Save(path_));
  const auto search_all = [&] {
    const IndexView view = OpenView(path_);
    std::atomic<size_t> found{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
      threads.emplace_back([&] {
        for (size_t i = 0; i < rows_.size(); ++i)
          found += view.Search(rows_[i], {.k = 1})->front().id == IdOf(i) ? 1 : 0;
      });
    for (std::thread& thread : threads) thread.join();
    return found == 3 * rows_.size();
  };
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(search_all() ? 0 : 1);
    children.push_back(child);
  }
  EXPECT_TRUE(search_all());
  for (const pid_t child : children) {
    int status = 1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
}

// A file that changes under the map gives wrong answers at worst.
TEST_F(View, OfDamagedRowsAndListsGivesOnlyIdsOfTheFile) {
  ASSERT_TRUE(Make(300).Save(path_));
  const std::string whole = ReadBytes(path_);
  const uint64_t seed = test::Seed();
  std::cout << "SHOAL_SEED=" << seed << "\n";
  std::mt19937_64 random(seed);
  size_t opened = 0;
  for (int round = 0; round < 300; ++round) {
    std::string bytes = whole;
    for (int i = 0; i < 100; ++i) {
      const size_t at = 4096 + 4 * (random() % ((bytes.size() - 4096) / 4));
      const auto value = static_cast<uint32_t>(random() % 3 == 0 ? random() : random() % 400);
      std::memcpy(bytes.data() + at, &value, sizeof(value));
    }
    WriteBytes(path_, bytes);
    const auto view = IndexView::Open(path_);
    if (!view) continue;  // The directory or the seeds were hit.
    ++opened;
    EXPECT_FALSE(view->Verify());
    const auto ids = view->ids();
    for (size_t q = 0; q < 20; ++q) {
      const auto hits = view->Search(rows_[q], {.k = 20, .search_list_size = 300});
      ASSERT_TRUE(hits);
      for (const Hit& hit : *hits)
        EXPECT_TRUE(std::find(ids.begin(), ids.end(), hit.id) != ids.end());
    }
  }
  EXPECT_GT(opened, 5u) << "seed " << seed;
}

TEST_F(View, OfWhatIsNoSnapshotIsAnErrorThatNamesTheFile) {
  ASSERT_TRUE(Make(50).Save(path_));
  const std::string whole = ReadBytes(path_);
  WriteBytes(path_, whole.substr(0, whole.size() - 7));
  const auto cut = IndexView::Open(path_);
  ASSERT_FALSE(cut);
  EXPECT_THAT(cut.error().message, HasSubstr(path_.string() + ": size: expected "));
  WriteBytes(path_, std::string(5000, 'x'));
  EXPECT_EQ(IndexView::Open(path_).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(IndexView::Open(folder_ / "none").error().code, ErrorCode::kFileNotFound);
}

}  // namespace
}  // namespace shoal
