// Codes beside the lists change what a search reads, and nothing of what it answers; and a file
// that has them is checked as any other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/crc32c.h"
#include "persist/snapshot_file.h"
#include "shoal/index.h"
#include "shoal/index_view.h"
#include "shoal/snapshot.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;
using ::testing::HasSubstr;

constexpr uint32_t kDim = 40;
constexpr SaveOptions kBeside{.list_codes = SaveOptions::ListCodes::kBeside};

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

struct Case {
  ScalarType type;
  Metric metric;
  Code code, rerank_code;
  uint32_t max_degree;
};

std::string NameOf(const ::testing::TestParamInfo<Case>& info) {
  const Case& c = info.param;
  return std::string(ScalarTypeName(c.type)) + "_" + std::string(MetricName(c.metric)) + "_" +
         std::string(CodeName(c.code)) + "_" + std::string(CodeName(c.rerank_code)) + "_" +
         std::to_string(c.max_degree);
}

class ListCodes : public ::testing::TestWithParam<Case> {
 protected:
  Rows RandomRows(size_t n, uint64_t seed) const {
    return test::Generator(GetParam().type, {.dim = kDim, .clusters = 8, .norm_sigma = 0.2}, seed)
        .Many(n);
  }
  Index Make(const Rows& rows) const {
    Index index = Good(Index::Create({.dim = kDim,
                                      .scalar_type = GetParam().type,
                                      .metric = GetParam().metric,
                                      .code = GetParam().code,
                                      .rerank_code = GetParam().rerank_code,
                                      .max_degree = GetParam().max_degree,
                                      .build_list_size = 40,
                                      .runtime = {.repair = RepairPolicy::kManual}}));
    Good(index.InsertMany(test::Iota(rows.size(), 5), rows.view(), {.threads = 1}));
    return index;
  }
  // Both files, and every way to open them.
  std::vector<IndexView> AllViews() const {
    std::vector<IndexView> views;
    for (const auto& path : {plain_, beside_})
      for (const auto memory : {ViewOptions::Memory::kMapped, ViewOptions::Memory::kCopied})
        for (const auto codes : {ViewOptions::ListCodes::kAsSaved, ViewOptions::ListCodes::kMake})
          views.push_back(
              Good(IndexView::Open(path, {.memory = memory, .list_codes = codes, .threads = 2})));
    return views;
  }
  // Of every kind of search.
  void ExpectSameAnswers(const IndexView& view, const IndexView& plain, VectorView query) const {
    for (const size_t list_size : {1, 12, 64, 400}) {
      const SearchOptions options{.k = 10, .search_list_size = list_size};
      const auto hits = Good(plain.Search(query, options));
      ExpectSameHits(Good(view.Search(query, options)), hits);
      const RangeOptions range{.radius = hits.back().distance, .search_list_size = list_size};
      ExpectSameHits(Good(view.RangeSearch(query, range)), Good(plain.RangeSearch(query, range)));
      const Filter odd =
          Filter::Where([](std::span<const ExternalId> ids, std::span<uint8_t> accepted) {
            for (size_t i = 0; i < ids.size(); ++i) accepted[i] = ids[i] % 2;
          });
      const SearchOptions filtered{.k = 10, .search_list_size = list_size, .filter = &odd};
      ExpectSameHits(Good(view.Search(query, filtered)), Good(plain.Search(query, filtered)));
    }
    Pages a = Good(view.SearchPages(query, {.k = 7})), b = Good(plain.SearchPages(query, {.k = 7}));
    for (int page = 0; page < 4; ++page) ExpectSameHits(Good(a.Next()), Good(b.Next()));
  }

  TempFolder folder_;
  const std::filesystem::path plain_ = folder_ / "plain", beside_ = folder_ / "beside";
};
INSTANTIATE_TEST_SUITE_P(
    All, ListCodes,
    ::testing::Values(Case{ScalarType::kFloat32, Metric::kL2, Code::kRq4, Code::kFull, 16},
                      Case{ScalarType::kFloat32, Metric::kL2, Code::kRq1, Code::kSq8, 13},
                      Case{ScalarType::kFloat32, Metric::kL2, Code::kRq3, Code::kRq3, 16},
                      Case{ScalarType::kFloat32, Metric::kCosine, Code::kRq2, Code::kFull, 8},
                      Case{ScalarType::kFloat16, Metric::kInnerProduct, Code::kRq4, Code::kFull, 9},
                      Case{ScalarType::kFloat32, Metric::kManhattan, Code::kSign, Code::kFull, 12},
                      Case{ScalarType::kUint8, Metric::kL2, Code::kFull, Code::kFull, 16},
                      Case{ScalarType::kBit, Metric::kHamming, Code::kFull, Code::kFull, 10}),
    NameOf);

TEST_P(ListCodes, ChangeNoAnswer) {
  const Rows rows = RandomRows(1500, 1), queries = RandomRows(12, 2);
  const Index index = Make(rows);
  ASSERT_TRUE(index.Save(plain_));
  ASSERT_TRUE(index.Save(beside_, {}, kBeside));
  const std::vector<IndexView> views = AllViews();
  for (size_t v = 1; v < views.size(); ++v) {
    EXPECT_TRUE(views[v].Verify());
    for (size_t q = 0; q < queries.size(); ++q)
      ASSERT_NO_FATAL_FAILURE(ExpectSameAnswers(views[v], views[0], queries[q])) << v << ", " << q;
  }
}

// Deleted points leave lists that are short, and points that are anchored.
TEST_P(ListCodes, ChangeNoAnswerWhereDeletedPointsWaitForTheirRepair) {
  const Rows rows = RandomRows(900, 3), queries = RandomRows(6, 4);
  Index index = Make(rows);
  for (ExternalId id = 5; id < 905; ++id) {
    if (id % 3 == 0) continue;
    ASSERT_TRUE(index.Delete(id));
  }
  ASSERT_TRUE(index.Save(plain_));
  ASSERT_TRUE(index.Save(beside_, {}, kBeside));
  const std::vector<IndexView> views = AllViews();
  for (size_t v = 1; v < views.size(); ++v)
    for (size_t q = 0; q < queries.size(); ++q)
      ASSERT_NO_FATAL_FAILURE(ExpectSameAnswers(views[v], views[0], queries[q])) << v << ", " << q;
}

TEST_P(ListCodes, AreScoredAListAtATimeInAsManyHops) {
  const Rows rows = RandomRows(1500, 6), queries = RandomRows(5, 7);
  ASSERT_TRUE(Make(rows).Save(plain_));
  const IndexView plain = Good(IndexView::Open(plain_));
  const IndexView view =
      Good(IndexView::Open(plain_, {.list_codes = ViewOptions::ListCodes::kMake}));
  std::vector<ExternalId> ids(10);
  for (size_t q = 0; q < queries.size(); ++q) {
    WorkCounters one_by_one, by_list;
    ASSERT_TRUE(plain.Search(queries[q], {}, ids, {}, &one_by_one));
    ASSERT_TRUE(view.Search(queries[q], {}, ids, {}, &by_list));
    EXPECT_EQ(by_list.hops, one_by_one.hops);
    EXPECT_GT(by_list.distances, one_by_one.distances) << "those met before, too";
  }
}

TEST_P(ListCodes, AreNoPartOfTheIndexThatIsLoaded) {
  const Index index = Make(RandomRows(400, 5));
  ASSERT_TRUE(index.Save(plain_));
  ASSERT_TRUE(index.Save(beside_, {}, kBeside));
  EXPECT_TRUE(Good(InspectSnapshot(beside_)).has_list_codes);
  EXPECT_EQ(Good(InspectSnapshot(beside_)).format_version, 4u);
  EXPECT_FALSE(Good(InspectSnapshot(plain_)).has_list_codes);
  EXPECT_EQ(Good(InspectSnapshot(plain_)).format_version, 3u) << "as files were before";
  const Index loaded = Good(Index::Load(beside_));
  EXPECT_TRUE(loaded.CheckStructure());
  ASSERT_TRUE(loaded.Save(folder_ / "again"));
  EXPECT_EQ(ReadBytes(folder_ / "again"), ReadBytes(plain_));
}

class DamagedListCodes : public ::testing::Test {
 protected:
  static constexpr size_t kPoints = 300;

  DamagedListCodes() {
    rows_ = test::Generator(ScalarType::kFloat32, {.dim = kDim}, 1).Many(kPoints);
    Index index = Good(
        Index::Create({.dim = kDim, .code = Code::kRq4, .max_degree = 8, .build_list_size = 20}));
    Good(index.InsertMany(test::Iota(kPoints), rows_.view(), {.threads = 1}));
    EXPECT_TRUE(index.Save(path_, {}, kBeside));
    whole_ = ReadBytes(path_);
    header_ = Good(SnapshotReader::Open(path_)).header();
  }

  template <class T>
  static T At(const std::string& bytes, size_t at) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(value));
    return value;
  }
  // Checksums that belong to the bytes, as an attacker would make them.
  static void Reseal(std::string& bytes) {
    const auto set = [&](size_t at, uint32_t value) {
      std::memcpy(bytes.data() + at, &value, sizeof(value));
    };
    const size_t directory = At<uint64_t>(bytes, 72), blocks = At<uint32_t>(bytes, 80);
    for (size_t entry = directory; entry < directory + 16 * blocks; entry += 16)
      set(entry + 12,
          Crc32c(bytes.data() + At<uint64_t>(bytes, entry), At<uint32_t>(bytes, entry + 8)));
    set(84, Crc32c(bytes.data() + directory, 16 * blocks));
    set(4092, Crc32c(bytes.data(), 4092));
  }
  size_t RecordAt(size_t entry) const {
    return header_.OffsetOf(SnapshotSection::kLists) +
           entry * header_.RecordBytes(SnapshotSection::kLists);
  }

  TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "x.shoal";
  Rows rows_{ScalarType::kFloat32, kDim};
  std::string whole_;
  SnapshotHeader header_;
};

TEST_F(DamagedListCodes, ByteThatChangedIsFoundByLoadVerifyAndACopy) {
  const size_t codes = header_.ListCodesAt();
  const size_t end = header_.RecordBytes(SnapshotSection::kLists);
  for (const size_t at : {RecordAt(0), RecordAt(0) + codes, RecordAt(7) + end - 1,
                          RecordAt(kPoints) + codes + 3, RecordAt(kPoints) + end - 1}) {
    std::string bytes = whole_;
    bytes[at] = static_cast<char>(bytes[at] ^ 4);
    WriteBytes(path_, bytes);
    EXPECT_EQ(Index::Load(path_).error().code, ErrorCode::kCorrupt) << at;
    EXPECT_EQ(VerifySnapshot(path_).error().code, ErrorCode::kCorrupt) << at;
    const auto copied = IndexView::Open(path_, {.memory = ViewOptions::Memory::kCopied});
    ASSERT_FALSE(copied) << at;
    EXPECT_THAT(copied.error().message, HasSubstr("lists, offset ")) << at;
  }
}

TEST_F(DamagedListCodes, RowsOfOtherPointsUnderRightChecksumsAreFoundByVerify) {
  const size_t codes = header_.ListCodesAt(), row = header_.traversal.row_bytes;
  std::string bytes = whole_;
  bytes.replace(RecordAt(9) + codes, row, whole_, RecordAt(9) + codes + row, row);
  Reseal(bytes);
  WriteBytes(path_, bytes);
  const auto verified = VerifySnapshot(path_);
  ASSERT_FALSE(verified);
  EXPECT_THAT(
      verified.error().message,
      HasSubstr("codes beside the list of entry 9: expected the rows of its points, found"));
}

// In the header, the lists or beside them, under right checksums: an error, or a view that answers
// with ids of the file.
TEST_F(DamagedListCodes, WhateverWordsAreThereNothingElseIsRead) {
  const uint64_t seed = test::Seed();
  std::cout << "SHOAL_SEED=" << seed << "\n";
  std::mt19937_64 random(seed);
  size_t opened = 0;
  const size_t begin = RecordAt(0), end = RecordAt(kPoints + 1);
  for (int round = 0; round < 400; ++round) {
    std::string bytes = whole_;
    for (int i = 0; i < 60; ++i) {
      const auto value = static_cast<uint32_t>(random() % 3 == 0 ? random() : random() % 400);
      std::memcpy(bytes.data() + begin + 4 * (random() % ((end - begin) / 4)), &value, 4);
    }
    if (round % 4 == 0) {
      const auto value = static_cast<uint32_t>(random() % 3);
      std::memcpy(bytes.data() + (random() % 2 == 0 ? 128 : 8), &value, 4);
    }
    Reseal(bytes);
    WriteBytes(path_, bytes);
    for (const auto codes : {ViewOptions::ListCodes::kAsSaved, ViewOptions::ListCodes::kMake}) {
      const auto view = IndexView::Open(path_, {.list_codes = codes});
      if (!view) continue;
      ++opened;
      EXPECT_FALSE(view->Verify());
      for (size_t q = 0; q < 5; ++q)
        for (const Hit& hit : Good(view->Search(rows_[q], {.k = 20, .search_list_size = 300})))
          ASSERT_LT(hit.id, kPoints) << "seed " << seed;
    }
  }
  EXPECT_GT(opened, 300u) << "seed " << seed;
}

// A plain file's lists, hostile: what is made of them is within bounds.
TEST_F(DamagedListCodes, AreMadeOfHostileListsWithoutReadingElsewhere) {
  ASSERT_TRUE(Good(Index::Load(path_)).Save(path_));
  whole_ = ReadBytes(path_);
  header_ = Good(SnapshotReader::Open(path_)).header();
  std::mt19937_64 random(7);
  for (int round = 0; round < 50; ++round) {
    std::string bytes = whole_;
    for (int i = 0; i < 60; ++i) {
      const auto value = static_cast<uint32_t>(random());
      std::memcpy(bytes.data() + RecordAt(0) + 4 * (random() % (8 * kPoints)), &value, 4);
    }
    Reseal(bytes);
    WriteBytes(path_, bytes);
    const IndexView view =
        Good(IndexView::Open(path_, {.list_codes = ViewOptions::ListCodes::kMake}));
    for (const Hit& hit : Good(view.Search(rows_[0], {.k = 20, .search_list_size = 300})))
      ASSERT_LT(hit.id, kPoints);
  }
}

}  // namespace
}  // namespace shoal
