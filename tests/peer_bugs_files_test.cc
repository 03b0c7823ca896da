// Bugs that other engines had with what comes from a file or goes into one, as properties that hold
// here; see tests/peer_bugs_test.cc and docs/peer_bugs.md.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "index_image.h"
#include "shoal/diskann_files.h"
#include "shoal/index.h"
#include "tests/print_types.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

constexpr size_t kDim = 8;
constexpr size_t kPoints = 700;

void ExpectGood(const Status& status) { ASSERT_TRUE(status) << status.error().message; }

// --- Indices from files: the two kinds that there are.

enum class Kind : uint8_t { kSnapshot, kDiskann };

std::string NameOf(Kind kind) { return kind == Kind::kSnapshot ? "Save" : "SaveDiskann"; }
void PrintTo(Kind kind, std::ostream* out) { *out << NameOf(kind); }

void SaveAs(Kind kind, const Index& index, const std::filesystem::path& path) {
  ExpectGood(kind == Kind::kSnapshot ? index.Save(path)
                                     : SaveDiskann(index, path, {.dynamic = true}));
}

Index LoadAs(Kind kind, const std::filesystem::path& path) {
  Result<Index> loaded =
      kind == Kind::kSnapshot ? Index::Load(path) : LoadDiskann(path, {.index = {}, .tags = true});
  EXPECT_TRUE(loaded) << loaded.error().message;
  return std::move(*loaded);
}

class FromAFile : public ::testing::TestWithParam<Kind> {
 protected:
  FromAFile() {
    for (size_t i = 0; i < kPoints; ++i) ExpectGood(index_.Insert(i + 1, rows_[i]));
    for (ExternalId id = 1; id <= kPoints; id += 5) ExpectGood(index_.Delete(id));
    SaveAs(GetParam(), index_, folder_ / "x");
  }

  struct Answer {
    std::vector<ExternalId> ids;
    std::vector<float> distances;
    bool operator==(const Answer&) const = default;
    void Add(const std::vector<Hit>& hits) {
      for (const Hit& hit : hits) {
        ids.push_back(hit.id);
        distances.push_back(hit.distance);
      }
    }
  };
  // Of every kind of search, with a list as long as the index: the graph makes no difference then.
  std::vector<Answer> Ask(const Index& index) const {
    constexpr size_t kHits = 10;
    std::vector<Answer> answers;
    for (size_t q = 0; q < queries_.size(); ++q) {
      const auto hits = index.Search(queries_[q], {.k = kHits, .search_list_size = 2 * kPoints});
      EXPECT_TRUE(hits);
      EXPECT_EQ(hits->size(), kHits);
      answers.emplace_back().Add(*hits);
      // The other half of them is too far.
      const float radius = (hits->at(4).distance + hits->at(5).distance) / 2;
      const auto near =
          index.RangeSearch(queries_[q], {.radius = radius, .search_list_size = 2 * kPoints});
      EXPECT_TRUE(near);
      EXPECT_EQ(near->size(), kHits / 2);
      answers.emplace_back().Add(*near);
    }
    std::vector<uint32_t> counts(queries_.size());
    Answer& many = answers.emplace_back();
    many.ids.resize(kHits * queries_.size());
    many.distances.resize(kHits * queries_.size());
    ExpectGood(index.SearchMany(queries_.view(), {.k = kHits, .search_list_size = 2 * kPoints},
                                {.ids = many.ids, .distances = many.distances, .counts = counts}));
    for (const uint32_t count : counts) EXPECT_EQ(count, kHits);
    return answers;
  }

  TempFolder folder_;
  const Rows rows_ = test::Generator(ScalarType::kFloat32, {.dim = kDim}, 1).Many(2 * kPoints);
  const Rows queries_ = test::Generator(ScalarType::kFloat32, {.dim = kDim}, 2).Many(20);
  Index index_ = *Index::Create({.dim = kDim, .max_degree = 12, .build_list_size = 30});
};

INSTANTIATE_TEST_SUITE_P(Of, FromAFile, ::testing::Values(Kind::kSnapshot, Kind::kDiskann),
                         [](const auto& suite) { return NameOf(suite.param); });

// usearch #447: of an index that is a view of its file, one kind of search (with a filter) finds
// nothing. There are no filters here; what narrows a search is the radius.
TEST_P(FromAFile, AnIndexAnswersEveryKindOfSearchAsTheOneThatWasSaved) {
  const Index loaded = LoadAs(GetParam(), folder_ / "x");
  ExpectGood(loaded.CheckStructure());
  EXPECT_EQ(Ask(loaded), Ask(index_));
}

// usearch #637: an index that is a view of its file waits for the disk when memory is short, now
// and then for minutes. Here nothing of the file is mapped or open behind Load, so it may be cut
// off (a page of a mapping would be lost then), overwritten and removed.
TEST_P(FromAFile, AnIndexNeedsTheFileNoMore) {
  Index loaded = LoadAs(GetParam(), folder_ / "x");
  const std::string name = (folder_ / "x").string();
  EXPECT_EQ(ReadBytes("/proc/self/maps").find(name), std::string::npos) << "mapped";
  for (const auto& file : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    const auto target = std::filesystem::read_symlink(file.path(), ignored);
    EXPECT_EQ(target.string().find(name), std::string::npos) << "open";
  }
  for (const char* part : {"x", "x.data", "x.tags"})
    if (std::filesystem::exists(folder_ / part)) std::filesystem::resize_file(folder_ / part, 0);
  EXPECT_EQ(Ask(loaded), Ask(index_));
  for (const char* part : {"x", "x.data", "x.tags"}) std::filesystem::remove(folder_ / part);
  EXPECT_EQ(folder_.Entries(), 0u);
  for (Index* index : {&loaded, &index_}) {
    for (size_t i = kPoints; i < 2 * kPoints; ++i) ExpectGood(index->Insert(i + 1, rows_[i]));
    for (ExternalId id = 2; id <= kPoints; id += 5) ExpectGood(index->Delete(id));
    for (ExternalId id = 3; id <= kPoints; id += 5) ExpectGood(index->Upsert(id, rows_[0]));
    for (ExternalId id = 3; id <= kPoints; id += 5) ExpectGood(index->Delete(id));
    ASSERT_TRUE(index->Compact());
    ExpectGood(index->CheckStructure());
  }
  EXPECT_EQ(Ask(loaded), Ask(index_));
  SaveAs(GetParam(), loaded, folder_ / "x");
  EXPECT_EQ(Ask(LoadAs(GetParam(), folder_ / "x")), Ask(index_));
}

// --- The start point.

class StartPoint : public ::testing::TestWithParam<ScalarType> {
 protected:
  // As far out as the type goes; no two alike, none zero.
  Rows Extremes(size_t n, uint64_t seed) const {
    const bool is_signed = GetParam() == ScalarType::kInt8;
    std::mt19937_64 random(seed);
    Rows rows(GetParam(), kDim);
    for (size_t i = 0; i < n; ++i) {
      std::vector<double> row;
      for (size_t j = 0; j < kDim; ++j) {
        const auto inwards = static_cast<double>(random() % 16);
        row.push_back(is_signed && random() % 2 == 0 ? -128 + inwards
                                                     : (is_signed ? 127 : 255) - inwards);
      }
      rows.Add(row);
    }
    return rows;
  }
  // The start point of DiskANN's files is one of `rows`, which are live, to the bit.
  void ExpectStartIn(const Rows& rows, const Index& index) const {
    const auto image = ExportGraph(index, true);
    ASSERT_TRUE(image) << image.error().message;
    ASSERT_EQ(image->start_points, 1u);
    ASSERT_EQ(image->start, image->points());
    const auto is_start = [&](size_t row, const void* start) {
      return std::memcmp(rows[row].data(), start, kDim) == 0;
    };
    const void* const in_index = image->rows.view()[image->start].data();
    TempFolder folder;
    ExpectGood(SaveDiskann(index, folder / "x", {.dynamic = true}));
    const std::string data = ReadBytes(folder / "x.data");
    ASSERT_EQ(data.size(), 8 + kDim * image->nodes());
    const void* const in_file = data.data() + data.size() - kDim;  // The last row.
    size_t same_in_index = 0, same_in_file = 0;
    for (size_t row = 0; row < rows.size(); ++row) {
      same_in_index += is_start(row, in_index) ? 1 : 0;
      same_in_file += is_start(row, in_file) ? 1 : 0;
    }
    EXPECT_GE(same_in_index, 1u) << "no row";
    EXPECT_GE(same_in_file, 1u) << "no row";
  }
};

INSTANTIATE_TEST_SUITE_P(Of, StartPoint, ::testing::Values(ScalarType::kInt8, ScalarType::kUint8),
                         [](const auto& suite) {
                           return std::string(ScalarTypeName(suite.param));
                         });

// DiskANN: a start point is made of random numbers of a norm that the user gives, and cast to the
// type: what int8 or uint8 cannot hold is undefined, and was the zero vector.
TEST_P(StartPoint, OfDiskannsFilesIsALivePointNeverCastNeverZero) {
  const Rows rows = Extremes(300, 1), later = Extremes(300, 2);
  for (const Metric metric : test::kMetrics) {
    SCOPED_TRACE(MetricName(metric));
    const IndexOptions options{.dim = kDim,
                               .scalar_type = GetParam(),
                               .metric = metric,
                               .max_degree = 8,
                               .build_list_size = 20};
    Index one_by_one = *Index::Create(options), at_once = *Index::Create(options);
    for (size_t i = 0; i < rows.size(); ++i) ExpectGood(one_by_one.Upsert(i + 1, rows[i]));
    ASSERT_EQ(at_once.InsertMany(test::Iota(rows.size(), 1), rows.view())->done, rows.size());
    for (Index* index : {&one_by_one, &at_once}) {
      ASSERT_NO_FATAL_FAILURE(ExpectStartIn(rows, *index));
      // Nothing of it stays when all rows have gone.
      ExpectGood(index->Clear());
      for (size_t i = 0; i < later.size(); ++i) ExpectGood(index->Insert(i + 1, later[i]));
      ASSERT_NO_FATAL_FAILURE(ExpectStartIn(later, *index));
      ExpectGood(index->CheckStructure());
    }
  }
}

}  // namespace
}  // namespace shoal
