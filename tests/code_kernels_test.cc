// Every kernel of codes of every instruction set of this CPU, against plain sums over the elements.
#include "distance/code_kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "codec/code_layout.h"
#include "tests/guarded_memory.h"

namespace shoal::distance {
namespace {

std::vector<size_t> Dimensions() {
  std::vector<size_t> dims;
  for (size_t dim = 1; dim <= 70; ++dim) dims.push_back(dim);
  dims.insert(dims.end(), {100, 127, 128, 129, 384, 768, 960, 1000, 1536, 4099});
  return dims;
}

// One vector's elements, as u8, and its row: `offset` other bytes, then the code.
struct CodedRow {
  std::vector<uint8_t> elements;
  std::vector<std::byte> bytes;
};

struct Case {
  const CodeKernels* set;
  size_t bits;
};

class CodeKernelsTest : public ::testing::TestWithParam<Case> {
 protected:
  static constexpr size_t kOffset = 8;
  size_t bits() const { return GetParam().bits; }
  uint32_t most() const { return (1u << bits()) - 1; }
  // What a query's elements may be, so that sums fit an int32.
  int32_t MostOfQuery(size_t dim) const {
    if (bits() != 8) return 127;
    return static_cast<int32_t>(std::min<size_t>(32767, 0x7fffffff / (255 * dim)));
  }

  template <class Draw>
  CodedRow MakeRow(size_t dim, Draw draw) {
    const size_t run = CodeRun(bits(), dim);
    CodedRow row;
    row.elements.resize(CodeRuns(bits()) * run);
    for (size_t i = 0; i < dim; ++i) row.elements[i] = static_cast<uint8_t>(draw());
    row.bytes.assign(kOffset + CodeBytes(bits(), dim), std::byte{0xff});
    if (bits() == 8) {
      std::memcpy(row.bytes.data() + kOffset, row.elements.data(), dim);
    } else {
      PackCode(bits(), run, row.elements.data(), row.bytes.data() + kOffset);
    }
    return row;
  }
  CodedRow RandomRow(size_t dim) {
    return MakeRow(dim, [&] { return random_() % (most() + 1); });
  }
  template <class Draw>
  void MakeQuery(size_t dim, Draw draw) {
    const size_t n = CodeRuns(bits()) * CodeRun(bits(), dim) + kCodePadding;
    values_.assign(n, 0);
    for (int32_t& value : values_) value = draw();  // Behind the last one: anything.
    bytes_.assign(values_.begin(), values_.end());
    shorts_.assign(values_.begin(), values_.end());
    query_ = {bits() == 8 ? static_cast<const void*>(shorts_.data()) : bytes_.data(),
              CodeRun(bits(), dim), kOffset};
  }
  void RandomQuery(size_t dim) {
    const int32_t most = MostOfQuery(dim);
    MakeQuery(dim, [&] {
      return static_cast<int32_t>(random_() % static_cast<uint64_t>(2 * most + 1)) - most;
    });
  }
  int64_t Expected(const CodedRow& row) const {
    int64_t sum = 0;
    for (size_t i = 0; i < row.elements.size(); ++i) sum += int64_t{row.elements[i]} * values_[i];
    return sum;
  }
  std::vector<float> Run(const std::vector<const std::byte*>& rows) const {
    std::vector<float> out(rows.size(), std::numeric_limits<float>::quiet_NaN());
    GetParam().set->code[bits()](&query_, rows.data(), rows.size(), 0, out.data());
    return out;
  }

  std::mt19937_64 random_{42};
  std::vector<int32_t> values_;
  std::vector<int8_t> bytes_;
  std::vector<int16_t> shorts_;
  CodeQuery query_;
};

TEST_P(CodeKernelsTest, AgreeWithPlainSumsAtEveryDimension) {
  for (const size_t dim : Dimensions()) {
    RandomQuery(dim);
    std::vector<CodedRow> rows;
    std::vector<const std::byte*> pointers;
    for (size_t j = 0; j < 15; ++j) rows.push_back(RandomRow(dim));
    for (const CodedRow& row : rows) pointers.push_back(row.bytes.data());
    const std::vector<float> out = Run(pointers);
    for (size_t j = 0; j < rows.size(); ++j)
      ASSERT_EQ(out[j], static_cast<float>(Expected(rows[j]))) << "dim " << dim << " row " << j;
  }
}

// Where products of bytes are summed to 16 bits, they saturate there.
TEST_P(CodeKernelsTest, AreExactWhereAllProductsAreTheLargest) {
  for (const size_t dim : {size_t{64}, size_t{129}, size_t{1536}, size_t{kMaxDim}}) {
    const CodedRow largest = MakeRow(dim, [&] { return most(); });
    for (const int32_t sign : {1, -1}) {
      MakeQuery(dim, [&] { return sign * MostOfQuery(dim); });
      for (const float sum : Run(std::vector<const std::byte*>(5, largest.bytes.data())))
        ASSERT_EQ(sum, static_cast<float>(Expected(largest))) << "dim " << dim;
    }
  }
}

TEST_P(CodeKernelsTest, ReadNotOneByteBehindARow) {
  test::GuardedMemory memory(4 * 4096);
  for (const size_t dim : Dimensions()) {
    RandomQuery(dim);
    const CodedRow row = RandomRow(dim);
    const std::byte* last = memory.Place(row.bytes);
    for (const float sum : Run(std::vector<const std::byte*>(11, last)))
      ASSERT_EQ(sum, static_cast<float>(Expected(row))) << "dim " << dim;
  }
}

TEST_P(CodeKernelsTest, CodesAreUnpackedAsTheyWerePacked) {
  if (bits() == 8) return;  // Not packed.
  for (const size_t dim : Dimensions()) {
    const CodedRow row = RandomRow(dim);
    std::vector<uint8_t> unpacked(row.elements.size());
    UnpackCode(bits(), CodeRun(bits(), dim), row.bytes.data() + kOffset, unpacked.data());
    ASSERT_EQ(unpacked, row.elements);
  }
}

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const CodeKernels* set : AvailableCodes())
    for (const size_t bits : {1, 2, 3, 4, 8}) cases.push_back({set, bits});
  return cases;
}
std::string NameOf(const Case& c) { return std::string(c.set->isa) + "_" + std::to_string(c.bits); }
std::string CaseName(const ::testing::TestParamInfo<Case>& info) { return NameOf(info.param); }
void PrintTo(const Case& c, std::ostream* out) { *out << NameOf(c); }
INSTANTIATE_TEST_SUITE_P(EveryIsa, CodeKernelsTest, ::testing::ValuesIn(AllCases()), CaseName);

TEST(Codes, TakeTheBytesOfTheirBits) {
  for (const size_t bits : {1, 2, 3, 4, 8})
    EXPECT_EQ(CodeBytes(bits, 384), bits * 48) << "no padding where 8 divides the dimension";
  EXPECT_EQ(CodeBytes(3, 127), 48u);
  EXPECT_EQ(CodeBytes(4, 129), 65u);
}

TEST(Codes, EverySetHasAllKernelsAndThePortableOneIsThere) {
  EXPECT_EQ(AvailableCodes().size(), Available().size());
  EXPECT_EQ(AvailableCodes().back()->isa, "scalar");
  EXPECT_EQ(ActiveCodes().isa, Active().isa);
}

TEST(HadamardKernel, IsTheTransformAndTheSameToTheLastBitInEverySet) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (const size_t n : {16u, 32u, 64u, 128u, 1024u}) {
    std::vector<float> in(n);
    for (float& x : in) x = normal(random);
    std::vector<float> first = in;
    AvailableCodes()[0]->hadamard(first.data(), n);
    for (size_t i = 0; i < n; ++i) {
      double sum = 0;
      for (size_t j = 0; j < n; ++j) sum += std::popcount(i & j) % 2 == 0 ? in[j] : -in[j];
      ASSERT_NEAR(first[i], sum, 1e-5 * static_cast<double>(n));
    }
    for (const CodeKernels* set : AvailableCodes()) {
      std::vector<float> out = in;
      set->hadamard(out.data(), n);
      ASSERT_EQ(std::memcmp(out.data(), first.data(), n * sizeof(float)), 0) << set->isa;
    }
  }
}

TEST(BfloatKernels, AgreeWithSumsInDouble) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  for (const size_t dim : Dimensions()) {
    std::vector<float> query(dim), values(dim);
    std::vector<uint16_t> row(dim);
    double l2 = 0, dot = 0, l1 = 0, magnitude = 0;
    for (size_t i = 0; i < dim; ++i) {
      query[i] = normal(random);
      row[i] = static_cast<uint16_t>(std::bit_cast<uint32_t>(normal(random)) >> 16);
      values[i] = std::bit_cast<float>(static_cast<uint32_t>(row[i]) << 16);
      const double q = query[i], r = values[i];
      l2 += (q - r) * (q - r);
      dot += q * r;
      l1 += std::abs(q - r);
      magnitude += std::abs(q * r);
    }
    test::GuardedMemory memory(4 * 4096);
    std::vector<std::byte> bytes(dim * 2);
    std::memcpy(bytes.data(), row.data(), bytes.size());
    const std::vector<const std::byte*> rows(7, memory.Place(bytes));
    for (const CodeKernels* set : AvailableCodes()) {
      std::vector<float> out(rows.size());
      const auto run = [&](Op op) {
        set->bfloat16[static_cast<size_t>(op)](query.data(), rows.data(), rows.size(), dim,
                                               out.data());
      };
      run(Op::kL2);
      for (const float sum : out) ASSERT_NEAR(sum, l2, 1e-5 * l2) << set->isa;
      run(Op::kL1);
      for (const float sum : out) ASSERT_NEAR(sum, l1, 1e-5 * l1) << set->isa;
      run(Op::kDot);
      for (const float sum : out) ASSERT_NEAR(sum, dot, 1e-5 * magnitude) << set->isa;
    }
  }
}

}  // namespace
}  // namespace shoal::distance
