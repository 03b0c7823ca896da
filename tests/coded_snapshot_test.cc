// Snapshots of an index that traverses codes: what is loaded, and what is searched in the file, is
// what was saved.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/crc32c.h"
#include "shoal/diskann_files.h"
#include "shoal/index.h"
#include "shoal/index_view.h"
#include "shoal/snapshot.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint32_t kDim = 13;

Rows RandomRows(size_t n, uint64_t seed) {
  return test::Generator(ScalarType::kFloat32, {.dim = kDim, .clusters = 8, .norm_sigma = 0.2},
                         seed)
      .Many(n);
}

template <class T>
T Good(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    std::abort();
  }
  return std::move(*result);
}

void ExpectSameHits(const std::vector<Hit>& a, const std::vector<Hit>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].id, b[i].id) << i;
    EXPECT_EQ(std::memcmp(&a[i].distance, &b[i].distance, sizeof(float)), 0) << i;
  }
}

class CodedSnapshot : public ::testing::TestWithParam<std::tuple<Metric, Code>> {
 protected:
  Index Make(const Rows& rows) const {
    Index index = Good(Index::Create({.dim = kDim,
                                      .metric = std::get<0>(GetParam()),
                                      .code = Code::kFloat16,
                                      .rerank_code = std::get<1>(GetParam()),
                                      .max_degree = 16,
                                      .build_list_size = 40}));
    Good(index.InsertMany(test::Iota(rows.size(), 5), rows.view(), {.threads = 1}));
    return index;
  }
  TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "x.shoal", again_ = folder_ / "again.shoal";
};
INSTANTIATE_TEST_SUITE_P(MetricAndRerank, CodedSnapshot,
                         ::testing::Combine(::testing::Values(Metric::kL2, Metric::kInnerProduct,
                                                              Metric::kCosine),
                                            ::testing::Values(Code::kFull, Code::kFloat16)));

TEST_P(CodedSnapshot, LoadedOrViewedGivesTheSameAnswersAndVectors) {
  const Rows rows = RandomRows(600, 1), queries = RandomRows(20, 2);
  Index index = Make(rows);
  for (ExternalId id = 5; id < 100; id += 2) ASSERT_TRUE(index.Delete(id));
  ASSERT_TRUE(index.Save(path_));
  const Index loaded = Good(Index::Load(path_));
  const IndexView view = Good(IndexView::Open(path_));
  EXPECT_EQ(loaded.options().code, Code::kFloat16);
  EXPECT_EQ(loaded.options().rerank_code, std::get<1>(GetParam()));
  EXPECT_EQ(view.options().rerank_code, std::get<1>(GetParam()));
  EXPECT_TRUE(loaded.CheckStructure());
  EXPECT_TRUE(view.Verify());
  EXPECT_EQ(Good(InspectSnapshot(path_)).options.code, Code::kFloat16);
  for (size_t q = 0; q < queries.size(); ++q) {
    for (const size_t rerank : {0, 10, 64}) {
      const SearchOptions options{.k = 10, .search_list_size = 64, .rerank = rerank};
      const auto hits = Good(index.Search(queries[q], options));
      ExpectSameHits(Good(loaded.Search(queries[q], options)), hits);
      ExpectSameHits(Good(view.Search(queries[q], options)), hits);
    }
    const RangeOptions range{.radius = Good(index.Search(queries[q])).back().distance};
    ExpectSameHits(Good(loaded.RangeSearch(queries[q], range)),
                   Good(view.RangeSearch(queries[q], range)));
  }
  std::vector<ExternalId> ids(10);
  WorkCounters by_view, by_index;
  ASSERT_TRUE(view.Search(queries[0], {}, ids, {}, &by_view));
  ASSERT_TRUE(loaded.Search(queries[0], {}, ids, {}, &by_index));
  EXPECT_EQ(by_view.reranked, by_index.reranked);
  std::vector<float> saved(kDim), read(kDim), viewed(kDim);
  for (const ExternalId id : Good(index.Ids())) {
    ASSERT_TRUE(index.Get(id, saved));
    ASSERT_TRUE(loaded.Get(id, read));
    ASSERT_TRUE(view.Get(id, viewed));
    ASSERT_EQ(saved, read);
    ASSERT_EQ(saved, viewed);
  }
}

TEST_P(CodedSnapshot, LoadedAndSavedAgainIsTheSameFileAndGrowsAsTheIndexDoes) {
  const Rows rows = RandomRows(500, 3), more = RandomRows(100, 4), queries = RandomRows(10, 5);
  Index index = Make(rows);
  ASSERT_TRUE(index.Save(path_));
  Index loaded = Good(Index::Load(path_));
  ASSERT_TRUE(loaded.Save(again_));
  EXPECT_EQ(ReadBytes(path_), ReadBytes(again_));
  for (Index* each : {&index, &loaded})
    for (size_t i = 0; i < more.size(); ++i) ASSERT_TRUE(each->Insert(10000 + i, more[i]));
  for (size_t q = 0; q < queries.size(); ++q)
    ExpectSameHits(Good(loaded.Search(queries[q], {.search_list_size = 200})),
                   Good(index.Search(queries[q], {.search_list_size = 200})));
}

TEST_P(CodedSnapshot, ADamagedCodeIsNamedWithItsSection) {
  const Rows rows = RandomRows(50, 6);
  ASSERT_TRUE(Make(rows).Save(path_));
  const std::string whole = ReadBytes(path_);
  const auto at = [&](const std::string& bytes, size_t offset) {
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + offset, sizeof(value));
    return value;
  };
  const bool has_both = std::get<1>(GetParam()) == Code::kFull;
  // One block of each section: rows, then, where they are, rerank rows.
  const size_t directory = at(whole, 72);
  for (const size_t block : {0, 1}) {
    if (block == 1 && !has_both) continue;
    std::string bytes = whole;
    const size_t offset = at(whole, directory + 16 * block);
    bytes[offset + 5] = static_cast<char>(bytes[offset + 5] ^ 0x40);
    WriteBytes(path_, bytes);
    const auto loaded = Index::Load(path_);
    ASSERT_FALSE(loaded);
    EXPECT_THAT(loaded.error().message,
                AllOf(HasSubstr(block == 0 ? ": rows, offset 4096" : ": rerank rows, offset "),
                      HasSubstr("checksum")));
    EXPECT_FALSE(VerifySnapshot(path_));
  }
}

// DiskANN's files hold vectors, under cosine of length 1; the codes are made anew.
TEST_P(CodedSnapshot, DiskannFilesHoldItsVectorsAndGraph) {
  const Rows rows = RandomRows(300, 8), queries = RandomRows(10, 9);
  const Index index = Make(rows);
  const std::filesystem::path prefix = folder_ / "graph";
  ASSERT_TRUE(SaveDiskann(index, prefix, {.dynamic = true}));
  const Index loaded = Good(LoadDiskann(prefix, {.index = index.options(), .tags = true}));
  EXPECT_EQ(loaded.options().code, Code::kFloat16);
  EXPECT_TRUE(loaded.CheckStructure());
  std::vector<float> saved(kDim), read(kDim);
  for (const ExternalId id : Good(index.Ids())) {
    ASSERT_TRUE(index.Get(id, saved));
    ASSERT_TRUE(loaded.Get(id, read));
    if (std::get<0>(GetParam()) == Metric::kCosine) {
      ASSERT_NEAR(test::Distance(Metric::kCosine, saved, read), 0, 1e-5);
    } else {
      ASSERT_EQ(saved, read);
    }
  }
  if (std::get<0>(GetParam()) == Metric::kCosine) return;
  for (size_t q = 0; q < queries.size(); ++q)
    ExpectSameHits(Good(loaded.Search(queries[q], {.search_list_size = 300})),
                   Good(index.Search(queries[q], {.search_list_size = 300})));
}

// Fields of the header whose checksum is right.
TEST_P(CodedSnapshot, CodecsThatTheFileCannotHaveAreRefused) {
  ASSERT_TRUE(Make(RandomRows(50, 7)).Save(path_));
  const std::string whole = ReadBytes(path_);
  const auto refused = [&](size_t at, uint32_t value, const char* what) {
    std::string bytes = whole;
    std::memcpy(bytes.data() + at, &value, sizeof(value));
    const uint32_t crc = Crc32c(bytes.data(), 4092);
    std::memcpy(bytes.data() + 4092, &crc, sizeof(crc));
    WriteBytes(path_, bytes);
    for (const auto& error : {Index::Load(path_).error(), IndexView::Open(path_).error()}) {
      EXPECT_THAT(error.message, HasSubstr(what));
      EXPECT_EQ(error.message.find(path_.string()), 0u);
    }
  };
  refused(96, 77, "offset 96: codec: expected 0 to 9, found 77");
  refused(92, 1, "offset 92: bytes of a row: expected");
  refused(112, 8, "expected");  // Parameters that are not there.
  if (std::get<1>(GetParam()) == Code::kFull) {
    refused(100, 77, "offset 100: codec: expected 0 to 8, found 77");
    refused(104, 5, "offset 104: bytes of a row: expected");
  } else {
    refused(96, 0, "offset 100: codec of rerank rows: expected 0");
  }
}

}  // namespace
}  // namespace shoal
