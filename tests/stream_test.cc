// Snapshots through callbacks, range searches of many queries, sizes before there is an index.
#include "shoal/stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>

#include "shoal/filter.h"
#include "shoal/index.h"
#include "shoal/index_view.h"
#include "tests/byte_source.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;
using ::testing::HasSubstr;
using Bytes = std::vector<std::byte>;

constexpr uint32_t kDim = 8;

Rows RandomRows(size_t n, uint64_t seed) {
  return test::Generator(ScalarType::kFloat32, {.dim = kDim, .clusters = 5}, seed).Many(n);
}

Index Filled(size_t n, Code code = Code::kAuto) {
  Index index = *Index::Create({.dim = kDim, .code = code});
  const Rows rows = RandomRows(n, 1);
  for (size_t i = 0; i < n; ++i) EXPECT_TRUE(index.Insert(i, rows[i]));
  return index;
}

Bytes Saved(const Index& index) {
  Bytes bytes;
  const Status saved = index.SaveTo([&](std::span<const std::byte> piece) -> Status {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
    return {};
  });
  EXPECT_TRUE(saved) << saved.error().message;
  return bytes;
}

Bytes ContentOf(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  Bytes bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

TEST(Streams, HaveTheBytesOfTheFile) {
  TempFolder folder;
  for (const Code code : {Code::kFull, Code::kSq8}) {
    const Index index = Filled(500, code);
    ASSERT_TRUE(index.Save(folder / "x"));
    EXPECT_EQ(Saved(index), ContentOf(folder / "x"));
  }
}

TEST(Streams, AreLoadedWhateverPiecesTheyComeIn) {
  const Bytes bytes = Saved(Filled(300));
  for (const size_t most : {size_t{1} << 20, size_t{4097}, size_t{100}}) {
    const Result<Index> loaded = Index::LoadFrom(Giving(bytes, most));
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->size(), 300u);
    EXPECT_TRUE(loaded->CheckStructure());
    EXPECT_EQ(Saved(*loaded), bytes);
  }
  EXPECT_EQ(Saved(*Index::LoadFrom(Giving(Saved(*Index::Create({.dim = 3})), 99))),
            Saved(*Index::Create({.dim = 3})));
}

TEST(Streams, ThatAreDamagedOrCutAreErrors) {
  const Bytes bytes = Saved(Filled(300));
  for (const size_t kept : {size_t{0}, size_t{100}, bytes.size() / 2, bytes.size() - 1}) {
    const Bytes cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(kept));
    const Result<Index> loaded = Index::LoadFrom(Giving(cut, 1 << 20));
    ASSERT_FALSE(loaded) << kept;
    EXPECT_EQ(loaded.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(loaded.error().message, HasSubstr("stream: "));
  }
  Bytes flipped = bytes;
  flipped[bytes.size() / 2] ^= std::byte{1};
  EXPECT_EQ(Index::LoadFrom(Giving(flipped, 1 << 20)).error().code, ErrorCode::kCorrupt);
}

TEST(Streams, EndWithTheErrorOfTheSinkOrSource) {
  const Index index = Filled(300);
  size_t calls = 0;
  const Status saved = index.SaveTo([&](std::span<const std::byte>) -> Status {
    ++calls;
    return MakeError(ErrorCode::kIo, "the line is cut");
  });
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().message, "the line is cut");
  EXPECT_EQ(calls, 1u);
  const Result<Index> loaded = Index::LoadFrom(
      [](std::span<std::byte>) -> Result<size_t> { return MakeError(ErrorCode::kIo, "no line"); });
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().message, "no line");
  const Result<Index> greedy =
      Index::LoadFrom([](std::span<std::byte> out) -> Result<size_t> { return out.size() + 1; });
  ASSERT_FALSE(greedy);
  EXPECT_EQ(greedy.error().code, ErrorCode::kInvalidArgument);
}

TEST(Streams, EndWhenAStopIsRequested) {
  const Index index = Filled(300);
  std::stop_source stop;
  const auto request = [&](std::span<const std::byte>) -> Status {
    stop.request_stop();
    return {};
  };
  // The whole fits into the first piece; a stop before it is heard.
  EXPECT_TRUE(index.SaveTo(request, {.stop = stop.get_token()}));
  EXPECT_EQ(index.SaveTo(request, {.stop = stop.get_token()}).error().code, ErrorCode::kCancelled);
  const Bytes bytes = Saved(index);
  EXPECT_EQ(Index::LoadFrom(Giving(bytes, 99), {.batch = {.stop = stop.get_token()}}).error().code,
            ErrorCode::kCancelled);
}

TEST(RangeSearchMany, GivesTheHitsOfEachQuery) {
  TempFolder folder;
  const Index index = Filled(800);
  ASSERT_TRUE(index.Save(folder / "x"));
  const IndexView view = *IndexView::Open(folder / "x");
  const Rows queries = RandomRows(40, 2);
  const float radius = index.Search(queries[0], {.k = 30})->back().distance;
  size_t hits = 0;
  for (const size_t threads : {1u, 3u}) {
    const RangeHits found =
        *index.RangeSearchMany(queries.view(), {.radius = radius}, {.threads = threads});
    const RangeHits in_view = *view.RangeSearchMany(queries.view(), {.radius = radius});
    ASSERT_EQ(found.limits.size(), 41u);
    EXPECT_EQ(found.limits, in_view.limits);
    EXPECT_EQ(found.ids, in_view.ids);
    for (size_t i = 0; i < 40; ++i) {
      const auto expected = *index.RangeSearch(queries[i], {.radius = radius});
      ASSERT_EQ(found.limits[i + 1] - found.limits[i], expected.size());
      for (size_t j = 0; j < expected.size(); ++j) {
        EXPECT_EQ(found.ids[found.limits[i] + j], expected[j].id);
        EXPECT_EQ(found.distances[found.limits[i] + j], expected[j].distance);
        ++hits;
      }
    }
  }
  EXPECT_GT(hits, 60u);
}

TEST(RangeSearchMany, HasNoHitThatTheFilterRefuses) {
  TempFolder folder;
  const Index index = Filled(800);
  ASSERT_TRUE(index.Save(folder / "x"));
  const IndexView view = *IndexView::Open(folder / "x");
  const Rows queries = RandomRows(20, 2);
  const float radius = index.Search(queries[0], {.k = 60})->back().distance;
  const std::vector<ExternalId> wanted = {1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610};
  const Filter refuses_some = Filter::Not(Filter::Ids(wanted)), accepts_few = Filter::Ids(wanted);
  size_t hits = 0;
  for (const Filter* const filter : {&refuses_some, &accepts_few}) {
    const RangeHits found =
        *index.RangeSearchMany(queries.view(), {.radius = radius, .filter = filter});
    EXPECT_EQ(view.RangeSearchMany(queries.view(), {.radius = radius, .filter = filter})->ids,
              found.ids);
    for (size_t i = 0; i < queries.size(); ++i) {
      std::vector<ExternalId> expected;
      for (const Hit& hit : *index.Search(queries[i], {.k = 800, .search_list_size = 800}))
        if (hit.distance <= radius && (std::find(wanted.begin(), wanted.end(), hit.id) !=
                                       wanted.end()) == (filter == &accepts_few))
          expected.push_back(hit.id);
      const auto begin = found.ids.begin() + static_cast<ptrdiff_t>(found.limits[i]);
      const auto end = found.ids.begin() + static_cast<ptrdiff_t>(found.limits[i + 1]);
      EXPECT_EQ(std::vector<ExternalId>(begin, end), expected);
      hits += expected.size();
    }
  }
  EXPECT_GT(hits, 100u);
}

TEST(RangeSearchMany, NamesTheRowOfAnErrorAndOfNoneHasNoHits) {
  const Index index = Filled(50);
  std::vector<float> queries(size_t{3} * kDim, 1);
  queries[kDim + 2] = std::numeric_limits<float>::quiet_NaN();
  const auto failed =
      index.RangeSearchMany(MatrixView(std::span<const float>(queries), kDim), {.radius = 1});
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("row 1: "));
  const auto none =
      index.RangeSearchMany(MatrixView(nullptr, ScalarType::kFloat32, 0, kDim), {.radius = 1});
  ASSERT_TRUE(none);
  EXPECT_EQ(none->limits, std::vector<size_t>{0});
}

TEST(SizeEstimates, AreWithinAQuarterOfWhatAnIndexTakes) {
  for (const uint32_t max_degree : {16u, 32u, 64u}) {
    for (const Code code : {Code::kFull, Code::kSq8}) {
      const IndexOptions options{.dim = kDim, .code = code, .max_degree = max_degree};
      Index index = *Index::Create(options);
      constexpr size_t kPoints = 1500;
      const Rows rows = RandomRows(kPoints, 3);
      for (size_t i = 0; i < kPoints; ++i) ASSERT_TRUE(index.Insert(i, rows[i]));
      const MemoryBreakdown memory = index.Stats().memory;
      const auto taken = static_cast<double>(memory.total() - memory.scratch);
      EXPECT_NEAR(static_cast<double>(*EstimateBytes(options, kPoints)), taken, taken / 4);
      EXPECT_NEAR(static_cast<double>(*EstimatePoints(options, *EstimateBytes(options, kPoints))),
                  static_cast<double>(kPoints), 1);
    }
  }
  EXPECT_EQ(*EstimatePoints({.dim = 1}, 1000), 0u);
  EXPECT_EQ(EstimateBytes({.dim = 0}, 5).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoal
