// Truthset files: every header, id and distance that can be wrong, by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "shoal/dataset.h"
#include "tests/dataset_helpers.h"
#include "tests/temp_folder.h"

namespace shoal {
namespace {

std::string Int32s(std::initializer_list<int32_t> values) {
  std::string bytes(values.size() * sizeof(int32_t), '\0');
  std::memcpy(bytes.data(), values.begin(), bytes.size());
  return bytes;
}

TruthSet MakeTruth() {
  TruthSet truth;
  truth.queries = 2;
  truth.k = 3;
  truth.ids = {4, 5, 6, 7, 8, TruthSet::kNoNeighbor};
  truth.distances = {0.5f, 1.0f, 2.0f, -1.0f, 3.0f, std::numeric_limits<float>::infinity()};
  truth.counts = {3, 2};
  return truth;
}

TEST(TruthSetFile, RoundTripsWithAndWithoutDistancesAndFindsTheCounts) {
  TempFolder folder;
  const auto file = folder / "gt";
  TruthSet truth = MakeTruth();
  for (const size_t bytes : {8 + 6 * 8, 8 + 6 * 4}) {
    ASSERT_TRUE(WriteTruthSet(file, truth));
    EXPECT_EQ(std::filesystem::file_size(file), bytes);
    const auto found = ReadTruthSet(file);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->queries, 2u);
    EXPECT_EQ(found->k, 3u);
    EXPECT_EQ(found->ids, truth.ids);
    EXPECT_EQ(found->distances, truth.distances);
    EXPECT_EQ(found->counts, truth.counts);
    truth.distances.clear();
  }
}

TEST(TruthSetFile, FullRowsNeedNoCounts) {
  TempFolder folder;
  TruthSet truth = MakeTruth();
  truth.ids[5] = 9;
  ASSERT_TRUE(WriteTruthSet(folder / "gt", truth));
  const auto found = ReadTruthSet(folder / "gt");
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->counts.empty());
}

TEST(TruthSetFile, EveryTruncationButTheIdsOnlyVariantIsAnError) {
  TempFolder folder;
  const auto file = folder / "gt";
  ASSERT_TRUE(WriteTruthSet(file, MakeTruth()));
  const std::string whole = ReadBytes(file);
  for (size_t length = 0; length < whole.size(); ++length) {
    WriteBytes(file, whole.substr(0, length));
    const auto found = ReadTruthSet(file);
    ASSERT_EQ(found.has_value(), length == 8 + 6 * 4) << length;
    if (!found) ExpectError(found, ErrorCode::kCorrupt, file, "size: expected");
  }
  WriteBytes(file, whole + "x");
  ExpectError(ReadTruthSet(file), ErrorCode::kCorrupt, file, "found 57 bytes");
}

TEST(TruthSetFile, BadHeadersIdsAndDistancesAreNamed) {
  TempFolder folder;
  const auto file = folder / "gt";
  WriteBytes(file, Int32s({-1, 3}));
  ExpectError(ReadTruthSet(file), ErrorCode::kCorrupt, file, "queries: expected 1 to 2147483647");
  WriteBytes(file, Int32s({1, 0}));
  ExpectError(ReadTruthSet(file), ErrorCode::kCorrupt, file,
              "k: expected 1 to 2147483647, found 0");
  // 2^30 x 2^31 entries of 8 bytes wrap around to nothing in 64 bits.
  WriteBytes(file, Int32s({0x40000000, 0x7fffffff}));
  ExpectError(ReadTruthSet(file), ErrorCode::kCorrupt, file, "found 8 bytes");
  TruthSet truth = MakeTruth();
  truth.distances[4] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_TRUE(WriteTruthSet(file, truth));
  ExpectError(ReadTruthSet(file), ErrorCode::kCorrupt, file,
              "distance 1 of query 1: expected a number, found NaN");
  truth = MakeTruth();
  truth.ids[1] = TruthSet::kNoNeighbor;
  ASSERT_TRUE(WriteTruthSet(file, truth));
  ExpectError(ReadTruthSet(file), ErrorCode::kCorrupt, file,
              "id 2 of query 0: expected none, as at 1, found 6");
}

TEST(TruthSetFile, TruthThatCannotBeTrueIsNamed) {
  TempFolder folder;
  const auto file = folder / "gt";
  const auto read = [&](const TruthSet& truth, const TruthReadOptions& options = {}) {
    EXPECT_TRUE(WriteTruthSet(file, truth));
    return ReadTruthSet(file, options);
  };
  TruthSet truth = MakeTruth();
  EXPECT_TRUE(read(truth, {.points = 9})) << "what is behind the last neighbour is no id";
  ExpectError(read(truth, {.points = 8}), ErrorCode::kCorrupt, file,
              "id 1 of query 1: expected a row number below 8, found 8");
  truth.ids[2] = 4;
  ExpectError(read(truth), ErrorCode::kCorrupt, file,
              "id 2 of query 0: expected each id once, found 4 as at 0");
  truth = MakeTruth();
  truth.distances[2] = 0.75f;
  ExpectError(read(truth), ErrorCode::kCorrupt, file,
              "distance 2 of query 0: expected none nearer than that before it, found 0.75");
  truth.distances[2] = 1;
  EXPECT_TRUE(read(truth)) << "as near as that before";
  // int64 ids have the size of uint32 ids with distances.
  WriteBytes(file, Int32s({1, 4, 7, 0, 5, 0, 6, 0, 4, 0}));
  ExpectError(ReadTruthSet(file), ErrorCode::kCorrupt, file,
              "id 3 of query 0: expected each id once, found 0 as at 1");
}

TEST(TruthSetFile, DistancesOfDiskannsFormsBecomeThoseOfTheMetric) {
  TempFolder folder;
  const auto file = folder / "gt";
  TruthSet truth = MakeTruth();
  truth.ids[5] = 9;
  const auto read = [&](std::vector<float> distances, Metric metric) -> std::vector<float> {
    truth.distances = std::move(distances);
    EXPECT_TRUE(WriteTruthSet(file, truth));
    const auto found = ReadTruthSet(file, {.metric = metric});
    return found ? found->distances : std::vector<float>();
  };
  using Floats = std::vector<float>;
  EXPECT_EQ(read({1, 2, 3, 3, 4, 5}, Metric::kL2), (Floats{1, 2, 3, 3, 4, 5}));
  EXPECT_EQ(read({1, 2, 3, 3, 4, 5}, Metric::kCosine), (Floats{.5f, 1, 1.5f, 1.5f, 2, 2.5f}));
  EXPECT_EQ(read({3, 3, 2, 9, 7, -1}, Metric::kInnerProduct), (Floats{-3, -3, -2, -9, -7, 1}));
  EXPECT_EQ(read({-3, -3, -2, -9, -7, 1}, Metric::kInnerProduct), (Floats{-3, -3, -2, -9, -7, 1}));
  EXPECT_EQ(read({4, 4, 4, 4, 4, 4}, Metric::kInnerProduct), (Floats{-4, -4, -4, -4, -4, -4}));
  EXPECT_EQ(read({3, 2, 1, 5, 4, 3}, Metric::kL2), Floats()) << "the farthest first";
  EXPECT_EQ(read({3, 2, 1, 3, 4, 5}, Metric::kInnerProduct), Floats()) << "both orders";
}

TEST(TruthSetFile, RaggedTruthIsNotWritten) {
  TempFolder folder;
  const auto file = folder / "gt";
  TruthSet truth = MakeTruth();
  truth.ids.pop_back();
  ExpectError(WriteTruthSet(file, truth), ErrorCode::kInvalidArgument, file,
              "expected 6 ids and as many distances or none, found 5 ids and 6 distances");
  ExpectError(WriteTruthSet(file, TruthSet{}), ErrorCode::kInvalidArgument, file,
              "found 0 queries, k = 0");
  EXPECT_EQ(folder.Entries(), 0u);
}

}  // namespace
}  // namespace shoal
