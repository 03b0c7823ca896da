#include "codec/full_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>

#include "base/memory.h"
#include "codec/vector_check.h"
#include "tests/print_types.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;
using ::testing::HasSubstr;

// Encoded rows of one codec.
class Encoded {
 public:
  Encoded(FullCodec& codec, const Rows& rows)
      : stride_(codec.row_bytes()), bytes_(stride_ * rows.size()) {
    for (size_t i = 0; i < rows.size(); ++i) {
      codec.Encode(rows[i], bytes_.data() + i * stride_);
      pointers_.push_back(bytes_.data() + i * stride_);
    }
  }
  const std::byte* operator[](size_t i) const { return pointers_[i]; }
  std::vector<float> Score(const Scorer& scorer) const {
    std::vector<float> out(pointers_.size());
    scorer.Score(pointers_.data(), pointers_.size(), out.data());
    return out;
  }

 private:
  size_t stride_;
  std::vector<std::byte> bytes_;
  std::vector<const std::byte*> pointers_;
};

class FullCodecTest : public ::testing::TestWithParam<test::TypeAndMetric> {
 protected:
  ScalarType type() const { return std::get<0>(GetParam()); }
  Metric metric() const { return std::get<1>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(All, FullCodecTest, test::AllTypesAndMetrics(), test::NameOfCase);

TEST_P(FullCodecTest, ScoresAQueryInTheMetric) {
  for (const size_t dim : {1u, 2u, 3u, 5u, 17u, 64u, 129u, 768u}) {
    test::Generator generator(type(), {.dim = dim, .norm_sigma = 0.5}, dim);
    const Rows rows = generator.Many(37), queries = generator.Many(5);
    FullCodec codec(type(), metric(), dim);
    const Encoded encoded(codec, rows);
    std::vector<std::byte> buffer(codec.buffer_bytes());
    for (size_t q = 0; q < queries.size(); ++q) {
      const auto scores = encoded.Score(codec.BindQuery(queries[q], buffer.data()));
      for (size_t i = 0; i < rows.size(); ++i) {
        ASSERT_NEAR(scores[i], test::Distance(metric(), queries.values(q), rows.values(i)),
                    test::Tolerance(metric(), queries.values(q), rows.values(i)))
            << "dim " << dim;
      }
    }
  }
}

TEST_P(FullCodecTest, AVectorIsAtDistanceZeroFromItselfWhereTheMetricSaysSo) {
  const Rows rows = test::Generator(type(), {.dim = 40, .norm_sigma = 0.5}, 1).Many(50);
  FullCodec codec(type(), metric(), 40);
  const Encoded encoded(codec, rows);
  std::vector<std::byte> buffer(codec.buffer_bytes());
  for (size_t i = 0; i < rows.size(); ++i) {
    const float self = encoded.Score(codec.BindQuery(rows[i], buffer.data()))[i];
    if (metric() != Metric::kInnerProduct && metric() != Metric::kCosine) {
      EXPECT_EQ(self, 0);
    }
    if (metric() == Metric::kCosine) {
      EXPECT_NEAR(self, 0, 1e-6);
    }
    if (metric() != Metric::kInnerProduct) {
      EXPECT_GE(self, 0);
    }
  }
}

TEST_P(FullCodecTest, TheVectorStandsAtTheFrontOfItsRow) {
  const Rows rows = test::Generator(type(), {.dim = 7}, 1).Many(1);
  FullCodec codec(type(), metric(), 7);
  EXPECT_GE(codec.row_bytes(), rows[0].bytes());
  const Encoded encoded(codec, rows);
  EXPECT_EQ(std::memcmp(encoded[0], rows[0].data(), rows[0].bytes()), 0);
}

TEST_P(FullCodecTest, ARowTakesTheBytesOfItsElementsAndAtMostOneFloatMore) {
  for (const size_t dim : {1u, 3u, 128u}) {
    const FullCodec codec(type(), metric(), dim);
    const size_t elements = BytesOf(type(), dim);
    if (metric() != Metric::kInnerProduct && metric() != Metric::kCosine) {
      EXPECT_EQ(codec.row_bytes(), elements);
    }
    EXPECT_LE(codec.row_bytes(), (elements + 3) / 4 * 4 + 4);
  }
}

// Of two stored rows: the metric; for inner product the squared distance on the
// sphere of the largest norm.
TEST_P(FullCodecTest, ScoresARowInTheGraphsGeometry) {
  const Rows rows = test::Generator(type(), {.dim = 33, .norm_sigma = 0.5}, 3).Many(40);
  FullCodec codec(type(), metric(), 33);
  const Encoded encoded(codec, rows);
  double max_norm = 0;
  for (size_t i = 0; i < rows.size(); ++i)
    max_norm =
        std::max(max_norm, -test::Distance(Metric::kInnerProduct, rows.values(i), rows.values(i)));
  std::vector<std::byte> buffer(codec.buffer_bytes());
  const auto sphere = [&](size_t a, size_t b) {
    const auto rest = [&](size_t i) {
      return std::sqrt(std::max(
          0.0, max_norm + test::Distance(Metric::kInnerProduct, rows.values(i), rows.values(i))));
    };
    return 2 * max_norm +
           2 * test::Distance(Metric::kInnerProduct, rows.values(a), rows.values(b)) -
           2 * rest(a) * rest(b);
  };
  for (size_t p = 0; p < rows.size(); ++p) {
    const auto scores = encoded.Score(codec.BindRow(encoded[p], buffer.data()));
    for (size_t i = 0; i < rows.size(); ++i) {
      if (metric() != Metric::kInnerProduct) {
        ASSERT_NEAR(scores[i], test::Distance(metric(), rows.values(p), rows.values(i)),
                    test::Tolerance(metric(), rows.values(p), rows.values(i)));
        continue;
      }
      ASSERT_GE(scores[i], 0);
      ASSERT_NEAR(scores[i], sphere(p, i), 1e-5 * max_norm);
    }
  }
}

TEST_P(FullCodecTest, TheGraphsGeometryIsSymmetric) {
  const Rows rows = test::Generator(type(), {.dim = 16, .norm_sigma = 0.7}, 5).Many(60);
  FullCodec codec(type(), metric(), 16);
  const Encoded encoded(codec, rows);
  std::vector<std::byte> buffer(codec.buffer_bytes());
  std::vector<std::vector<float>> scores;
  for (size_t p = 0; p < rows.size(); ++p)
    scores.push_back(encoded.Score(codec.BindRow(encoded[p], buffer.data())));
  for (size_t p = 0; p < rows.size(); ++p)
    for (size_t i = 0; i < p; ++i)
      ASSERT_NEAR(scores[p][i], scores[i][p], 1e-4f * (1 + std::abs(scores[p][i])));
}

TEST(FullCodec, RowsAreNearestToThemselvesInTheGraph) {
  for (const ScalarType type : test::kTypes) {
    for (const Metric metric : test::kMetrics) {
      const Rows rows = test::Generator(type, {.dim = 16, .norm_sigma = 0.7}, 5).Many(60);
      FullCodec codec(type, metric, 16);
      const Encoded encoded(codec, rows);
      std::vector<std::byte> buffer(codec.buffer_bytes());
      for (size_t p = 0; p < rows.size(); ++p) {
        const auto scores = encoded.Score(codec.BindRow(encoded[p], buffer.data()));
        const float nearest = *std::min_element(scores.begin(), scores.end());
        EXPECT_LE(scores[p], nearest + 1e-3f * std::abs(scores[p == 0 ? 1 : 0]));
      }
    }
  }
}

TEST_P(FullCodecTest, ScoreRawOrdersAsTheKernelDoes) {
  const Rows rows = test::Generator(type(), {.dim = 20}, 6).Many(30);
  const FullCodec codec(type(), metric(), 20);
  std::vector<std::byte> buffer(codec.buffer_bytes());
  std::vector<const std::byte*> pointers;
  for (size_t i = 0; i < rows.size(); ++i)
    pointers.push_back(static_cast<const std::byte*>(rows[i].data()));
  std::vector<float> scores(rows.size());
  codec.ScoreRaw(pointers[0], pointers.data(), pointers.size(), buffer.data(), scores.data());
  const Metric kernel = metric() == Metric::kCosine ? Metric::kInnerProduct : metric();
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_NEAR(scores[i], test::Distance(kernel, rows.values(0), rows.values(i)),
                test::Tolerance(kernel, rows.values(0), rows.values(i)));
  }
}

TEST_P(FullCodecTest, AVectorIsCheckedAndNamedWithWhatIsWrong) {
  const VectorCheck check(type(), metric(), 6);
  const Rows good = test::Generator(type(), {.dim = 6}, 7).Many(1);
  const Rows longer = test::Generator(type(), {.dim = 7}, 7).Many(1);
  EXPECT_TRUE(check.Vector(good[0], "row"));
  const Status dimension = check.Vector(longer[0], "query");
  ASSERT_FALSE(dimension);
  EXPECT_EQ(dimension.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(dimension.error().message, "query: dimension: expected 6, found 7");
  for (const ScalarType other : test::kTypes) {
    if (other == type()) continue;
    const Status refused = check.Vector(VectorView(good[0].data(), other, 6), "row");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "row: scalar type: expected " +
                                           std::string(ScalarTypeName(type())) + ", found " +
                                           std::string(ScalarTypeName(other)));
  }
  std::vector<std::byte> zero(BytesOf(type(), 6));
  EXPECT_EQ(check.Vector(VectorView(zero.data(), type(), 6), "row").has_value(),
            metric() != Metric::kCosine);
}

TEST(FullCodec, ExtremeIntegersAreExactAtTheLargestDimension) {
  std::vector<uint8_t> low(kMaxDim, 0), high(kMaxDim, 255);
  FullCodec codec(ScalarType::kUint8, Metric::kL2, kMaxDim);
  std::vector<std::byte> row(codec.row_bytes()), buffer(codec.buffer_bytes());
  codec.Encode(high, row.data());
  const std::byte* rows[] = {row.data()};
  float out;
  codec.BindQuery(low, buffer.data()).Score(rows, 1, &out);
  EXPECT_EQ(out, 255.0f * 255.0f * kMaxDim);
}

TEST(FullCodec, ABitBehindTheLastElementIsRefused) {
  const VectorCheck check(ScalarType::kBit, Metric::kHamming, 13);
  std::vector<uint8_t> bytes = {0xff, 0x1f};
  EXPECT_TRUE(check.Vector({bytes.data(), ScalarType::kBit, 13}, "row"));
  for (const uint8_t last : {0x20, 0x80, 0xff}) {
    bytes[1] = last;
    const Status refused = check.Vector({bytes.data(), ScalarType::kBit, 13}, "row");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().message,
              "row: bits behind the last element, from 5 of byte 1 on: expected 0, found 1");
  }
  EXPECT_TRUE(VectorCheck(ScalarType::kBit, Metric::kHamming, 16)
                  .Vector({bytes.data(), ScalarType::kBit, 16}, "row"));
}

TEST(FullCodec, ANewLargestNormKeepsTheGraphsGeometryWhole) {
  // The sphere grows while rows stay as they are written: distances stay finite and ordered.
  FullCodec codec(ScalarType::kFloat32, Metric::kInnerProduct, 2);
  const std::vector<float> small{1, 0}, big{0, 100};
  std::vector<std::byte> a(codec.row_bytes()), b(codec.row_bytes()), buffer(codec.buffer_bytes());
  codec.Encode(small, a.data());
  const std::byte* rows[] = {a.data(), b.data()};
  float before;
  codec.BindRow(a.data(), buffer.data()).Score(rows, 1, &before);
  EXPECT_EQ(before, 0);
  codec.Encode(big, b.data());
  float after[2];
  codec.BindRow(a.data(), buffer.data()).Score(rows, 2, after);
  EXPECT_EQ(after[0], 0);
  EXPECT_FLOAT_EQ(after[1], 2e4f) << "a quarter of the circle apart, of radius 100";
}

TEST(FullCodec, OneVeryLongRowLeavesTheOthersTheirDistances) {
  FullCodec codec(ScalarType::kFloat32, Metric::kInnerProduct, 2);
  const std::vector<std::vector<float>> vectors{{1e9f, 0}, {1, 2}, {3, 1}};
  std::vector<std::vector<std::byte>> rows;
  std::vector<std::byte> buffer(codec.buffer_bytes());
  for (const auto& vector : vectors)
    codec.Encode(vector, rows.emplace_back(codec.row_bytes()).data());
  const std::byte* row = rows[2].data();
  float out;
  codec.BindRow(rows[1].data(), buffer.data()).Score(&row, 1, &out);
  EXPECT_FLOAT_EQ(out, 5);
}

// Which decides whether a graph of inner products wants two kinds of edges.
TEST(FullCodec, NormsVaryOnlyUnderInnerProductAndNotByRoundingOrByOneRowOfMany) {
  for (const Metric metric : test::kMetrics) {
    FullCodec codec(ScalarType::kFloat32, metric, 2);
    std::vector<std::byte> row(codec.row_bytes());
    EXPECT_FALSE(codec.NormsVary());
    for (int i = 0; i < 300; ++i) {
      for (const std::vector<float>& alike : {std::vector<float>{3, 4}, {4.97f, 0.1f}, {-5, 0}})
        codec.Encode(alike, row.data());
      EXPECT_FALSE(codec.NormsVary());
    }
    if (metric != Metric::kCosine) codec.Encode(std::vector<float>{0, 0}, row.data());
    codec.Encode(std::vector<float>{3, 3}, row.data());
    EXPECT_FALSE(codec.NormsVary()) << "one of many";
    for (int i = 0; i < 100; ++i) codec.Encode(std::vector<float>{4, 4}, row.data());
    EXPECT_EQ(codec.NormsVary(), metric == Metric::kInnerProduct);
  }
}

TEST(FullCodec, Float16RowsOfFloat32VectorsAreThoseOfTheirRoundedVectors) {
  constexpr size_t kDim = 33;
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
    const Rows rows =
        test::Generator(ScalarType::kFloat32, {.dim = kDim, .norm_sigma = 0.5}, 3).Many(40);
    FullCodec codec(ScalarType::kFloat32, Code::kFloat16, metric, kDim);
    FullCodec halves(ScalarType::kFloat16, metric, kDim);
    const Encoded encoded(codec, rows);
    std::vector<std::byte> buffer(codec.buffer_bytes());
    std::vector<std::byte> expected(halves.row_bytes());
    std::vector<float> decoded(kDim);
    for (size_t i = 0; i < rows.size(); ++i) {
      std::vector<Half> rounded;
      for (const float x : rows.values(i)) rounded.push_back(FloatToHalf(x));
      halves.Encode(rounded, expected.data());
      ASSERT_EQ(codec.row_bytes(), halves.row_bytes());
      EXPECT_EQ(std::memcmp(encoded[i], expected.data(), expected.size()), 0);
      codec.Decode(encoded[i], decoded);
      for (size_t j = 0; j < kDim; ++j) EXPECT_EQ(decoded[j], HalfToFloat(rounded[j]));
      const auto scores = encoded.Score(codec.BindQuery(rows[0], buffer.data()));
      EXPECT_NEAR(scores[i], test::Distance(metric, rows.values(0), rows.values(i)),
                  1e-2 * (1 + std::abs(scores[i])));
    }
    EXPECT_EQ(codec.max_norm_sq(), halves.max_norm_sq());
    EXPECT_EQ(encoded.Score(codec.BindRow(encoded[0], buffer.data())),
              encoded.Score(halves.BindRow(encoded[0], buffer.data())));
  }
}

TEST(FullCodec, Bfloat16RowsOfFloat32VectorsAreThoseOfTheirRoundedVectors) {
  constexpr size_t kDim = 33;
  const auto round = [](float x) {
    const auto bits = std::bit_cast<uint32_t>(x);
    const float down = std::bit_cast<float>(bits & 0xffff0000u);
    const float up = std::bit_cast<float>((bits & 0xffff0000u) + 0x10000u);
    const bool is_even = (bits >> 16 & 1) == 0;
    if (std::abs(x - down) == std::abs(up - x)) return is_even ? down : up;
    return std::abs(x - down) < std::abs(up - x) ? down : up;
  };
  for (const Metric metric :
       {Metric::kL2, Metric::kInnerProduct, Metric::kCosine, Metric::kManhattan}) {
    Rows rows = test::Generator(ScalarType::kFloat32, {.dim = kDim, .norm_sigma = 0.5}, 3).Many(40);
    rows.Add(std::vector<double>(kDim, 1.00390625));  // Between two of them.
    rows.Add(std::vector<double>(kDim, -1.01171875));
    Rows rounded(ScalarType::kFloat32, kDim);
    for (size_t i = 0; i < rows.size(); ++i) {
      std::vector<double> row;
      for (const float x : rows.values(i)) row.push_back(round(x));
      rounded.Add(row);
    }
    FullCodec codec(ScalarType::kFloat32, Code::kBfloat16, metric, kDim);
    FullCodec plain(ScalarType::kFloat32, metric, kDim);
    const Encoded encoded(codec, rows), expected(plain, rounded);
    EXPECT_LT(codec.row_bytes(), plain.row_bytes() * 6 / 10);
    std::vector<std::byte> buffer(codec.buffer_bytes()), other(plain.buffer_bytes());
    std::vector<float> decoded(kDim);
    const auto expect_same = [&](const Scorer& scorer, const Scorer& right) {
      const auto scores = encoded.Score(scorer), distances = expected.Score(right);
      for (size_t i = 0; i < rows.size(); ++i)
        EXPECT_NEAR(scores[i], distances[i], 1e-4 * (1 + std::abs(distances[i])));
    };
    for (size_t i = 0; i < rows.size(); ++i) {
      codec.Decode(encoded[i], decoded);
      for (size_t j = 0; j < kDim; ++j) ASSERT_EQ(decoded[j], rounded.values(i)[j]);
      EXPECT_TRUE(codec.Accept(encoded[i]));
      expect_same(codec.BindQuery(rows[i], buffer.data()), plain.BindQuery(rows[i], other.data()));
      expect_same(codec.BindRow(encoded[i], buffer.data()),
                  plain.BindRow(expected[i], other.data()));
    }
    EXPECT_EQ(codec.max_norm_sq(), plain.max_norm_sq());
    std::vector<std::byte> broken(encoded[0], encoded[0] + codec.row_bytes());
    broken[0] = std::byte{0x80};
    broken[1] = std::byte{0x7f};  // Infinity.
    EXPECT_FALSE(codec.Accept(broken.data()));
  }
}

TEST(FullCodec, WhatIsTooLargeOrTooSmallForFloat16HasFiniteDistances) {
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
    FullCodec codec(ScalarType::kFloat32, Code::kFloat16, metric, 2);
    const std::vector<std::vector<float>> vectors{{1e9f, -1e18f}, {1e-12f, 0}, {1, 1}};
    std::vector<std::vector<std::byte>> encoded;
    std::vector<const std::byte*> pointers;
    for (const auto& vector : vectors) {
      codec.Encode(vector, encoded.emplace_back(codec.row_bytes()).data());
      pointers.push_back(encoded.back().data());
    }
    std::vector<float> decoded(2), scores(3);
    codec.Decode(pointers[0], decoded);
    EXPECT_EQ(decoded, (std::vector<float>{65504, -65504}));
    std::vector<std::byte> buffer(codec.buffer_bytes());
    for (size_t i = 0; i < vectors.size(); ++i) {
      codec.BindQuery(vectors[i], buffer.data()).Score(pointers.data(), 3, scores.data());
      for (const float score : scores) EXPECT_TRUE(std::isfinite(score));
      codec.BindRow(pointers[i], buffer.data()).Score(pointers.data(), 3, scores.data());
      for (const float score : scores) EXPECT_TRUE(std::isfinite(score));
    }
  }
}

TEST_P(FullCodecTest, DecodesTheVectorThatItEncoded) {
  const Rows rows = test::Generator(type(), {.dim = 21}, 1).Many(3);
  FullCodec codec(type(), metric(), 21);
  const Encoded encoded(codec, rows);
  std::vector<std::byte> decoded(rows[0].bytes());
  for (size_t i = 0; i < rows.size(); ++i) {
    codec.Decode(encoded[i], {decoded.data(), type(), 21});
    EXPECT_EQ(std::memcmp(decoded.data(), rows[i].data(), decoded.size()), 0);
  }
}

TEST(FullCodec, ScoresARowAsIfItWereAQueryUnderInnerProduct) {
  for (const ScalarType type : test::kTypes) {
    const Rows rows = test::Generator(type, {.dim = 33, .norm_sigma = 0.5}, 3).Many(40);
    FullCodec codec(type, Metric::kInnerProduct, 33);
    const Encoded encoded(codec, rows);
    std::vector<std::byte> buffer(codec.buffer_bytes()), other(codec.buffer_bytes());
    for (size_t p = 0; p < rows.size(); ++p)
      EXPECT_EQ(encoded.Score(codec.BindRowAsQuery(encoded[p], buffer.data())),
                encoded.Score(codec.BindQuery(rows[p], other.data())));
  }
}

}  // namespace
}  // namespace shoal
