// What a vector set keeps of a vector, and how similar two vectors are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "bindings/valkey/core/encoding.h"

namespace shoal::vset {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<float> RandomVector(size_t dim, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(dim);
  for (float& element : x) element = normal(random);
  return x;
}

Encoding Of(uint32_t dim, Quantization quantization, Similarity similarity = Similarity::kCosine) {
  return *Encoding::Create({.dim = dim, .quantization = quantization, .similarity = similarity});
}

double Cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

constexpr Quantization kAll[] = {Quantization::kFloat32, Quantization::kInt8,
                                 Quantization::kBinary};

TEST(Encoding, BinaryTakesZeroForMinusOne) {
  const Encoding encoding = Of(5, Quantization::kBinary);
  const auto encoded = encoding.Encode(std::vector<float>{0.0f, -0.0f, 1e-30f, -2, 7});
  ASSERT_TRUE(encoded);
  EXPECT_THAT(encoding.Decode(*encoded), ElementsAre(-1, -1, 1, -1, 1));
  EXPECT_EQ(encoded->bytes, std::vector{std::byte{0b10100}});
}

TEST(Encoding, Int8KeepsTheLargestElementAs127AndTheRestWithinHalfAStep) {
  for (const uint32_t dim : {1u, 7u, 300u}) {
    const Encoding encoding = Of(dim, Quantization::kInt8);
    auto x = RandomVector(dim, dim);
    for (float& element : x) element *= 512 * 127;
    const auto encoded = encoding.Encode(x);
    ASSERT_TRUE(encoded);
    const double largest =
        std::abs(*std::ranges::max_element(x, {}, [](float f) { return std::abs(f); }));
    EXPECT_NEAR(encoded->range * encoded->norm, largest, largest * 1e-6);
    const auto decoded = encoding.Decode(*encoded);
    for (uint32_t i = 0; i < dim; ++i) EXPECT_NEAR(decoded[i], x[i], largest * (0.5 / 127 + 1e-6));
  }
}

TEST(Encoding, Float32DecodesToWhatItWasGiven) {
  const auto x = RandomVector(100, 1);
  for (const Similarity similarity :
       {Similarity::kCosine, Similarity::kL2, Similarity::kInnerProduct}) {
    const Encoding encoding = Of(100, Quantization::kFloat32, similarity);
    const auto decoded = encoding.Decode(*encoding.Encode(x));
    for (size_t i = 0; i < x.size(); ++i)
      EXPECT_NEAR(decoded[i], x[i], similarity == Similarity::kCosine ? 1e-6 : 0);
  }
}

TEST(Encoding, ScoresOfIdenticalOppositeAndOrthogonalVectorsAreOneZeroAndHalf) {
  for (const Quantization quantization : {Quantization::kFloat32, Quantization::kInt8}) {
    const Encoding encoding = Of(2, quantization);
    const auto encode = [&](float x, float y) { return *encoding.Encode(std::vector{x, y}); };
    EXPECT_NEAR(encoding.Score(encode(3, 4), encode(6, 8)), 1, 1e-6);
    EXPECT_NEAR(encoding.Score(encode(3, 4), encode(-3, -4)), 0, 1e-6);
    EXPECT_NEAR(encoding.Score(encode(3, 4), encode(-4, 3)), 0.5, 1e-6);
    EXPECT_EQ(encoding.Score(encode(0, 0), encode(3, 4)), 0.5);
    EXPECT_EQ(encoding.Score(encode(0, 0), encode(0, 0)), 0.5);
  }
  const Encoding encoding = Of(4, Quantization::kBinary);
  const auto encode = [&](std::vector<float> x) { return *encoding.Encode(x); };
  EXPECT_EQ(encoding.Score(encode({1, 1, 1, 1}), encode({2, 2, 2, 2})), 1);
  EXPECT_EQ(encoding.Score(encode({1, 1, 1, 1}), encode({-1, 1, 1, 1})), 0.75);
  EXPECT_EQ(encoding.Score(encode({1, 1, 1, 1}), encode({0, 0, 0, 0})), 0);
}

TEST(Encoding, ScoresComeFromTheCosineAsFarAsTheQuantisationAllows) {
  for (const uint32_t dim : {1u, 64u, 128u, 384u, 768u}) {
    const auto x = RandomVector(dim, dim);
    const auto y = RandomVector(dim, dim + 1);
    const double score = (1 + Cosine(x, y)) / 2;
    const auto scored = [&](Quantization quantization) {
      const Encoding encoding = Of(dim, quantization);
      return encoding.Score(*encoding.Encode(x), *encoding.Encode(y));
    };
    EXPECT_NEAR(scored(Quantization::kFloat32), score, 1e-6);
    EXPECT_NEAR(scored(Quantization::kInt8), score, 0.01);
    EXPECT_NEAR(scored(Quantization::kBinary), score, dim == 1 ? 1e-6 : 0.15);
  }
}

TEST(Encoding, TheExtensionsScoreBySquaredDistanceAndByInnerProduct) {
  const std::vector<float> x = {1, 2, 3};
  const std::vector<float> y = {2, 0, -1};
  const Encoding l2 = Of(3, Quantization::kFloat32, Similarity::kL2);
  EXPECT_EQ(l2.Score(*l2.Encode(x), *l2.Encode(y)), 1 + 4 + 16);
  EXPECT_TRUE(l2.IsNearer(1, 2));
  const Encoding product = Of(3, Quantization::kFloat32, Similarity::kInnerProduct);
  EXPECT_EQ(product.Score(*product.Encode(x), *product.Encode(y)), -1);
  EXPECT_TRUE(product.IsNearer(2, 1));
}

TEST(Encoding, AProjectionKeepsCosinesAndLengthsRoughly) {
  for (const Quantization quantization : kAll) {
    const auto encoding =
        Encoding::Create({.dim = 200, .input_dim = 1000, .quantization = quantization});
    ASSERT_TRUE(encoding);
    double error = 0;
    for (uint32_t i = 0; i < 50; ++i) {
      const auto x = RandomVector(1000, 2 * i);
      auto y = RandomVector(1000, 2 * i + 1);
      for (size_t j = 0; j < y.size(); ++j) y[j] += x[j] * static_cast<float>(i % 5);
      const auto a = *encoding->Encode(x);
      const auto b = *encoding->Encode(y);
      EXPECT_NEAR(a.norm / std::sqrt(1000), 1, 0.25);
      const double score = quantization == Quantization::kBinary
                               ? 1 - std::acos(Cosine(x, y)) / std::acos(-1.0)
                               : (1 + Cosine(x, y)) / 2;
      error += std::abs(encoding->Score(a, b) - score);
    }
    EXPECT_LT(error / 50, 0.04);
  }
}

TEST(Encoding, AProjectionDependsOnTheDimensionsOnly) {
  const EncodingOptions options{.dim = 3, .input_dim = 5, .quantization = Quantization::kFloat32};
  const std::vector<float> x = {1, 2, 3, 4, 5};
  const auto encoded = *Encoding::Create(options)->Encode(x);
  EXPECT_EQ(encoded.bytes, Encoding::Create(options)->Encode(x)->bytes);
  // Files and replicas hold projected vectors: these figures never change.
  const double step = 1 / std::sqrt(3);
  using testing::DoubleNear;
  EXPECT_THAT(Encoding::Create(options)->Decode(encoded),
              ElementsAre(DoubleNear(-5 * step, 1e-6), DoubleNear(-15 * step, 1e-6),
                          DoubleNear(-1 * step, 1e-6)));
}

TEST(Encoding, RefusesWhatIsNoVector) {
  const Encoding encoding = Of(3, Quantization::kInt8);
  const auto error = [&](std::vector<float> x) { return encoding.Encode(x).error().message; };
  EXPECT_THAT(error({1, 2}), HasSubstr("3 elements expected, found 2"));
  EXPECT_THAT(error({1, 2, std::numeric_limits<float>::quiet_NaN()}), HasSubstr("vector[2]"));
  EXPECT_THAT(error({std::numeric_limits<float>::infinity(), 0, 0}), HasSubstr("vector[0]"));
  const float most = std::numeric_limits<float>::max();
  EXPECT_THAT(error({most, most, most}), HasSubstr("3.4e38"));
  EXPECT_TRUE(encoding.Encode(std::vector<float>{most, 0, 0}));
  const auto tiny =
      encoding.Encode(std::vector<float>(3, std::numeric_limits<float>::denorm_min()));
  ASSERT_TRUE(tiny);
  EXPECT_GT(tiny->norm, 0);
  EXPECT_TRUE(encoding.IsIndexable(*tiny));
  EXPECT_FALSE(encoding.IsIndexable(*encoding.Encode(std::vector<float>(3))));
}

TEST(Encoding, RefusesOptionsOutOfRange) {
  const auto code = [](const EncodingOptions& o) { return Encoding::Create(o).error().code; };
  EXPECT_EQ(code({.dim = 0}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.dim = kMaxVectorDim + 1}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.dim = 10, .input_dim = 9}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.dim = 10, .input_dim = kMaxVectorDim + 1}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.dim = 10, .similarity = Similarity::kL2}), ErrorCode::kUnsupported);
  EXPECT_TRUE(Encoding::Create({.dim = kMaxVectorDim, .input_dim = kMaxVectorDim}));
}

TEST(Encoding, ChecksWhatItHasNotMade) {
  for (const Quantization quantization : kAll) {
    const Encoding encoding = Of(9, quantization);
    const auto is_good = [&](const EncodedVector& v) { return bool{encoding.Check(v)}; };
    const auto good = *encoding.Encode(RandomVector(9, 3));
    EXPECT_TRUE(is_good(good));
    EXPECT_TRUE(is_good(*encoding.Encode(std::vector<float>(9))));
    auto bad = good;
    bad.bytes.pop_back();
    EXPECT_FALSE(is_good(bad));
    bad = good;
    bad.norm = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(is_good(bad));
    bad = good;
    bad.range = quantization == Quantization::kInt8 ? 1.5f : 0.5f;
    EXPECT_FALSE(is_good(bad));
    bad = good;
    std::ranges::fill(bad.bytes, std::byte{0xff});  // NaN; -1; bits behind the end.
    EXPECT_FALSE(is_good(bad));
    bad = good;
    bad.norm = 0;
    EXPECT_EQ(is_good(bad), quantization == Quantization::kBinary);
  }
}

}  // namespace
}  // namespace shoal::vset
