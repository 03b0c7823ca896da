// Vectors of bits: their files, their checks, and the recall of indices of them in small, odd and
// large dimensions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "shoal/dataset.h"
#include "shoal/diskann_files.h"
#include "shoal/exact.h"
#include "shoal/index.h"
#include "tests/dataset_helpers.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;
using ::testing::HasSubstr;

// Random bits; those behind the last element are 0.
Matrix RandomBits(size_t rows, size_t dim) {
  Matrix matrix = *Matrix::Create(ScalarType::kBit, rows, dim);
  std::mt19937_64 random(dim);
  for (size_t row = 0; row < rows; ++row)
    for (size_t i = 0; i < dim; ++i)
      if (random() % 2 == 0)
        matrix.data()[row * matrix.row_bytes() + i / 8] |= std::byte{1} << i % 8;
  return matrix;
}

std::string Header(uint32_t rows, uint32_t columns) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &rows, 4);
  std::memcpy(bytes.data() + 4, &columns, 4);
  return bytes;
}

TEST(BitFiles, HoldWhatWasWrittenInEveryDimensionButOne) {
  const TempFolder folder;
  for (size_t dim = 2; dim <= 70; ++dim) {
    const Matrix matrix = RandomBits(11, dim);
    ASSERT_TRUE(WriteBin(folder / "x", matrix));
    EXPECT_EQ(ReadBinShape(folder / "x", ScalarType::kBit)->dim, dim);
    const auto found = ReadBin(folder / "x", ScalarType::kBit);
    ASSERT_TRUE(found) << found.error().message;
    ExpectSame(matrix, *found);
    const auto middle = ReadBin(folder / "x", ScalarType::kBit, {.first_row = 3, .max_rows = 4});
    ASSERT_TRUE(middle) << middle.error().message;
    ExpectSame(matrix.view().Slice(3, 4), *middle);
  }
  // In a byte, which has eight.
  const Matrix one = RandomBits(11, 1);
  ASSERT_TRUE(WriteBin(folder / "x", one));
  const auto found = ReadBin(folder / "x", ScalarType::kBit);
  ASSERT_EQ(found->dim(), 8u);
  EXPECT_EQ(std::memcmp(found->data(), one.data(), 11), 0);
}

TEST(BitFiles, AreThoseOfPackedBytesAndTheOtherWayRound) {
  const TempFolder folder;
  ASSERT_TRUE(WriteBin(folder / "bits", RandomBits(9, 256)));
  const auto bytes = ReadBin(folder / "bits", ScalarType::kUint8);
  ASSERT_TRUE(bytes) << bytes.error().message;
  EXPECT_EQ(bytes->dim(), 32u);
  ASSERT_TRUE(WriteBin(folder / "bytes", *bytes));
  const auto bits = ReadBin(folder / "bytes", ScalarType::kBit);
  ASSERT_TRUE(bits) << bits.error().message;
  ExpectSame(RandomBits(9, 256), *bits);
}

TEST(BitFiles, OfTheLargestDimensionHaveEitherHeader) {
  const TempFolder folder;
  const std::string row(kMaxDim / 8, '\x5a');
  for (const uint32_t columns : {kMaxDim / 8, kMaxDim}) {
    WriteBytes(folder / "x", Header(1, columns) + row);
    EXPECT_EQ(ReadBin(folder / "x", ScalarType::kBit)->dim(), kMaxDim);
  }
}

TEST(BitFiles, OfAnotherSizeAreRefusedWithBothSizesThatAreRight) {
  const TempFolder folder;
  WriteBytes(folder / "x", Header(2, 20) + std::string(7, '\0'));
  ExpectError(ReadBin(folder / "x", ScalarType::kBit), ErrorCode::kCorrupt, folder / "x",
              "size: expected 14 bytes (8 + 2 rows x 20 bits in whole bytes, or 8 + 2 rows x 20 "
              "bytes of 8 bits), found 15 bytes");
  ExpectError(ReadVecs(folder / "x", ScalarType::kBit), ErrorCode::kUnsupported, folder / "x",
              "element type");
}

TEST(BitFiles, OfNumpyArePackedBytes) {
  const TempFolder folder;
  for (const size_t dim : {1u, 8u, 13u, 256u}) {
    const Matrix matrix = RandomBits(7, dim);
    ASSERT_TRUE(WriteNpy(folder / "x", matrix));
    auto bytes = ReadNpy(folder / "x");
    ASSERT_TRUE(bytes) << bytes.error().message;
    EXPECT_EQ(bytes->type(), ScalarType::kUint8);
    const auto bits = Matrix::OfPackedBits(std::move(*bytes), dim);
    ASSERT_TRUE(bits) << bits.error().message;
    ExpectSame(matrix, *bits);
  }
  EXPECT_EQ(Matrix::OfPackedBits(MakeMatrix(ScalarType::kUint8, 3, 5))->dim(), 40u);
  for (const size_t dim : {32u, 41u})
    EXPECT_THAT(Matrix::OfPackedBits(MakeMatrix(ScalarType::kUint8, 3, 5), dim).error().message,
                HasSubstr("whose bits fill 5 bytes, found " + std::to_string(dim)));
  EXPECT_THAT(Matrix::OfPackedBits(MakeMatrix(ScalarType::kInt8, 3, 5)).error().message,
              HasSubstr("packed bits: expected a matrix of uint8, found 3 x 5 int8"));
}

TEST(BitFiles, OfDiskannsIndexHoldTheIndex) {
  const TempFolder folder;
  const Matrix rows = RandomBits(300, 61);
  Index index = *Index::Create(
      {.dim = 61, .scalar_type = ScalarType::kBit, .metric = Metric::kHamming, .max_degree = 16});
  ASSERT_TRUE(index.InsertMany(test::Iota(300, 1), rows, {.threads = 1}));
  for (const bool dynamic : {false, true}) {
    ASSERT_TRUE(SaveDiskann(index, folder / "d", {.dynamic = dynamic}));
    const auto loaded = LoadDiskann(
        folder / "d",
        {.index = {.scalar_type = ScalarType::kBit, .metric = Metric::kHamming}, .tags = dynamic});
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(loaded->options().dim, 61u);
    for (size_t i = 0; i < 300; i += 7)
      EXPECT_EQ(loaded->Search(rows[i], {.k = 1})->at(0).distance, 0);
  }
}

TEST(TypeAndMetric, ThatDoNotBelongTogetherAreNamedBoth) {
  for (const ScalarType type : {ScalarType::kFloat32, ScalarType::kFloat16, ScalarType::kInt8,
                                ScalarType::kUint8, ScalarType::kBit}) {
    const Matrix rows = *Matrix::Create(type, 2, 8);
    for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine,
                                Metric::kManhattan, Metric::kHamming}) {
      const auto created = Index::Create({.dim = 8, .scalar_type = type, .metric = metric});
      EXPECT_EQ(created.has_value(), IsPossible(type, metric));
      if (IsPossible(type, metric)) continue;
      const std::string expected =
          "scalar_type and metric: expected bit with hamming, or neither of them, found " +
          std::string(ScalarTypeName(type)) + " with " + std::string(MetricName(metric));
      EXPECT_EQ(created.error().code, ErrorCode::kInvalidArgument);
      EXPECT_EQ(created.error().message, expected);
      const auto truth = ExactSearch(rows, rows, {.k = 1, .metric = metric});
      ASSERT_FALSE(truth);
      EXPECT_EQ(truth.error().message, "exact search: " + expected);
    }
  }
}

TEST(Bits, BehindTheLastElementAreRefusedAsPointAndQueryAndInExactSearch) {
  Matrix rows = RandomBits(20, 13);
  Index index =
      *Index::Create({.dim = 13, .scalar_type = ScalarType::kBit, .metric = Metric::kHamming});
  rows.data()[7 * 2 + 1] |= std::byte{0x40};
  const std::string what = "bits behind the last element, from 5 of byte 1 on: expected 0, found 1";
  EXPECT_THAT(index.Insert(7, rows[7]).error().message, HasSubstr(what));
  const auto report = index.InsertMany(test::Iota(20), rows, {.threads = 1});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->done, 19u);
  ASSERT_EQ(report->failures.size(), 1u);
  EXPECT_EQ(report->failures[0].row, 7u);
  EXPECT_THAT(index.Search(rows[7], {}).error().message, HasSubstr(what));
  const MatrixView good = rows.view().Slice(8, 5);
  const ExactOptions options{.k = 3, .metric = Metric::kHamming};
  EXPECT_THAT(ExactSearch(rows, good, options).error().message,
              HasSubstr("exact search: base row 7: " + what));
  EXPECT_THAT(ExactSearch(good, rows, options).error().message,
              HasSubstr("exact search: queries row 7: " + what));
}

// Of clusters, whose bits are the signs of normal numbers: a floor a little below what was
// measured.
TEST(Bits, OfSmallOddAndLargeDimensionsHoldTheirRecall) {
  const struct {
    size_t dim;
    double at_16, at_64;
  } cases[] = {{13, 0.99, 0.995}, {100, 0.97, 0.995}, {256, 0.97, 0.995}, {1000, 0.97, 0.995}};
  for (const auto& [dim, at_16, at_64] : cases) {
    test::Generator generator(ScalarType::kBit, {.dim = dim, .clusters = 30, .spread = 1}, 5);
    const Rows base = generator.Many(2000), queries = generator.Many(50);
    Index index = *Index::Create({.dim = static_cast<uint32_t>(dim),
                                  .scalar_type = ScalarType::kBit,
                                  .metric = Metric::kHamming});
    ASSERT_TRUE(index.InsertMany(test::Iota(2000), base.view(), {.threads = 1}));
    EXPECT_TRUE(index.CheckStructure());
    double recall[2] = {};
    for (size_t q = 0; q < queries.size(); ++q) {
      const auto truth = test::BruteForce(Metric::kHamming, base, queries.values(q));
      for (const size_t i : {0, 1}) {
        std::vector<ExternalId> ids;
        const SearchOptions options{.k = 10, .search_list_size = i == 0 ? 16u : 64u};
        for (const Hit& hit : *index.Search(queries[q], options)) {
          ids.push_back(hit.id);
          ASSERT_EQ(hit.distance,
                    test::Distance(Metric::kHamming, queries.values(q), base.values(hit.id)));
        }
        recall[i] += test::RecallAt(10, truth, ids) / 50;
      }
    }
    std::printf("dim %zu: recall@10 %.4f at L = 16, %.4f at L = 64\n", dim, recall[0], recall[1]);
    EXPECT_GE(recall[0], at_16) << dim;
    EXPECT_GE(recall[1], at_64) << dim;
  }
}

// Distances are the squared l2 distances of the same elements as numbers, so the graph is the same,
// with whatever holds of it: many equal and nearly equal vectors, deletes, repairs.
TEST(Bits, HaveTheGraphAndTheAnswersOfTheSameElementsAsBytes) {
  constexpr size_t kN = 3000, kDim = 21;
  Rows bits(ScalarType::kBit, kDim), bytes(ScalarType::kUint8, kDim);
  std::mt19937_64 random(3);
  for (size_t i = 0; i < kN; ++i) {
    const uint64_t pattern = i % 4 == 0 ? random() % 20 * 104729 : random();
    std::vector<double> row(kDim);
    for (size_t bit = 0; bit < kDim; ++bit) row[bit] = static_cast<double>(pattern >> bit & 1);
    bits.Add(row);
    bytes.Add(row);
  }
  const auto life = [&](const Rows& rows, Metric metric) {
    Index index = *Index::Create({.dim = kDim,
                                  .scalar_type = rows.type(),
                                  .metric = metric,
                                  .max_degree = 16,
                                  .build_list_size = 40});
    for (size_t i = 0; i < kN; ++i) EXPECT_TRUE(index.Insert(i, rows[i]));
    for (size_t i = 0; i < kN; i += 3) EXPECT_TRUE(index.Delete(i));
    EXPECT_TRUE(index.CheckStructure());
    return index;
  };
  const Index hamming = life(bits, Metric::kHamming), l2 = life(bytes, Metric::kL2);
  EXPECT_EQ(hamming.Stats().edges, l2.Stats().edges);
  for (size_t q = 0; q < kN; q += 10) {
    const auto a = hamming.Search(bits[q], {.k = 10}), b = l2.Search(bytes[q], {.k = 10});
    ASSERT_EQ(a->size(), b->size());
    for (size_t i = 0; i < a->size(); ++i) {
      ASSERT_EQ(a->at(i).id, b->at(i).id) << q;
      ASSERT_EQ(a->at(i).distance, b->at(i).distance) << q;
    }
    const auto c = hamming.RangeSearch(bits[q], {.radius = 2});
    EXPECT_EQ(c->size(), l2.RangeSearch(bytes[q], {.radius = 2})->size()) << q;
  }
}

}  // namespace
}  // namespace shoal
