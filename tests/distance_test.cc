// Every kernel of every instruction set of this CPU, against sums in double precision (floats) or
// 64-bit integers, on rows that end where readable memory ends.
//
// `distance_test --print-isa` prints the pick and the note: the tests of SHOAL_ISA run it as a
// child, because a process picks only once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "distance/kernels.h"
#include "shoal/version.h"
#include "tests/guarded_memory.h"

namespace shoal::distance {
namespace {

using test::GuardedMemory;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Elements of one type as bytes, and what they mean.
struct Vector {
  std::vector<std::byte> bytes;
  std::vector<double> values;
};

template <class T>
void Append(Vector& vector, T element, double value) {
  const auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(element);
  vector.bytes.insert(vector.bytes.end(), bytes.begin(), bytes.end());
  vector.values.push_back(value);
}

void AppendValue(Vector& vector, ScalarType type, double value) {
  const auto f = static_cast<float>(value);
  switch (type) {
    case ScalarType::kFloat32: return Append(vector, f, f);
    case ScalarType::kFloat16: return Append(vector, FloatToHalf(f), HalfToFloat(FloatToHalf(f)));
    case ScalarType::kInt8: return Append(vector, static_cast<int8_t>(value), std::trunc(value));
    case ScalarType::kUint8: return Append(vector, static_cast<uint8_t>(value), std::trunc(value));
    case ScalarType::kBit: break;
  }
  const size_t at = vector.values.size();
  if (at % 8 == 0) vector.bytes.push_back(std::byte{0});
  if (value > 0) vector.bytes.back() |= std::byte{1} << at % 8;
  vector.values.push_back(value > 0 ? 1 : 0);
}

// The type of the query that goes with rows of `type`.
ScalarType QueryType(ScalarType type) {
  return type == ScalarType::kFloat16 ? ScalarType::kFloat32 : type;
}

bool IsInteger(ScalarType type) {
  return type != ScalarType::kFloat32 && type != ScalarType::kFloat16;
}

Vector RandomVector(std::mt19937_64& random, ScalarType type, size_t dim) {
  const bool from_zero = type == ScalarType::kUint8 || type == ScalarType::kBit;
  const double low = type == ScalarType::kInt8 ? -128 : from_zero ? 0 : -3;
  const double high = type == ScalarType::kInt8    ? 127
                      : type == ScalarType::kUint8 ? 255
                      : type == ScalarType::kBit   ? 1
                                                   : 3;
  std::uniform_real_distribution<double> real(low, high);
  std::uniform_int_distribution<int> whole(static_cast<int>(low), static_cast<int>(high));
  Vector vector;
  for (size_t i = 0; i < dim; ++i)
    AppendValue(vector, type, IsInteger(type) ? whole(random) : real(random));
  return vector;
}

Vector ConstantVector(ScalarType type, size_t dim, double value) {
  Vector vector;
  for (size_t i = 0; i < dim; ++i) AppendValue(vector, type, value);
  return vector;
}

struct Reference {
  double sum = 0;
  double magnitude = 0;  // The sum of the terms' absolute values: what errors are relative to.
};

Reference Compute(Op op, const Vector& query, const Vector& row) {
  Reference reference;
  for (size_t i = 0; i < row.values.size(); ++i) {
    const double q = query.values[i];
    const double r = row.values[i];
    const double term = op == Op::kL2    ? (q - r) * (q - r)
                        : op == Op::kDot ? q * r
                                         : std::abs(q - r);  // Of bits, too.
    reference.sum += term;
    reference.magnitude += std::abs(term);
  }
  return reference;
}

// What the kernels may be off by. Each term is rounded up to four times; of the additions into
// several accumulators the errors grow like a random walk's.
double Tolerance(const Reference& reference, size_t dim) {
  return reference.magnitude * 0x1p-24 * (4 + std::sqrt(static_cast<double>(dim)) / 4);
}

std::vector<size_t> Dimensions() {
  std::vector<size_t> dims;
  for (size_t dim = 1; dim <= 130; ++dim) dims.push_back(dim);
  dims.insert(dims.end(), {256, 384, 768, 960, 1024, 1536, 4096});
  return dims;
}

struct Case {
  const KernelSet* set;
  ScalarType type;
  Op op;
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const KernelSet* set : Available())
    for (auto type :
         {ScalarType::kFloat32, ScalarType::kFloat16, ScalarType::kInt8, ScalarType::kUint8})
      for (auto op : {Op::kL2, Op::kDot, Op::kL1}) cases.push_back({set, type, op});
  for (const KernelSet* set : Available()) cases.push_back({set, ScalarType::kBit, Op::kHamming});
  return cases;
}

std::string NameOf(const Case& c) {
  return std::string(c.set->isa) + "_" + std::string(ScalarTypeName(c.type)) +
         (c.op == Op::kL2    ? "_l2"
          : c.op == Op::kDot ? "_dot"
          : c.op == Op::kL1  ? "_l1"
                             : "_hamming");
}

std::string CaseName(const testing::TestParamInfo<Case>& info) { return NameOf(info.param); }

void PrintTo(const Case& c, std::ostream* out) { *out << NameOf(c); }

class Kernels : public testing::TestWithParam<Case> {
 protected:
  Vector RandomQuery(size_t dim) { return RandomVector(random_, QueryType(type_), dim); }
  Vector RandomRow(size_t dim) { return RandomVector(random_, type_, dim); }

  std::vector<float> RunBatch(const std::byte* query, const std::vector<const std::byte*>& rows,
                              size_t dim) {
    std::vector<float> out(rows.size(), std::numeric_limits<float>::quiet_NaN());
    set_.Batch(op_, type_)(query, rows.data(), rows.size(), dim, out.data());
    return out;
  }

  // `result` against the reference: integers equal after one rounding, floats within bounds.
  void Check(float result, const Vector& query, const Vector& row) {
    const size_t dim = row.values.size();
    const Reference reference = Compute(op_, query, row);
    if (IsInteger(type_)) {
      ASSERT_EQ(result, static_cast<float>(static_cast<int64_t>(reference.sum))) << "dim " << dim;
    } else {
      ASSERT_NEAR(result, reference.sum, Tolerance(reference, dim)) << "dim " << dim;
    }
  }
  // The exact pair kernel, which only integer types have.
  void CheckExact(const std::byte* query_bytes, const std::byte* row_bytes, const Vector& query,
                  const Vector& row) {
    if (!IsInteger(type_)) {
      ASSERT_EQ(set_.PairInt(op_, type_), nullptr);
      return;
    }
    const size_t dim = row.values.size();
    ASSERT_EQ(set_.PairInt(op_, type_)(query_bytes, row_bytes, dim),
              static_cast<int64_t>(Compute(op_, query, row).sum))
        << "dim " << dim;
  }

  const KernelSet& set_ = *GetParam().set;
  const ScalarType type_ = GetParam().type;
  const Op op_ = GetParam().op;
  std::mt19937_64 random_{42};
};

TEST_P(Kernels, AgreeWithTheReferenceAtEveryDimensionAndAlignment) {
  constexpr size_t kRows = 15;  // More than are prefetched or summed at once, and an odd number.
  for (const size_t dim : Dimensions()) {
    const Vector query = RandomQuery(dim);
    std::vector<Vector> rows;
    std::vector<std::vector<std::byte>> shifted;  // Row j starts j bytes off.
    std::vector<const std::byte*> pointers;
    for (size_t j = 0; j < kRows; ++j) {
      rows.push_back(RandomRow(dim));
      shifted.emplace_back(j);
      shifted.back().insert(shifted.back().end(), rows[j].bytes.begin(), rows[j].bytes.end());
      pointers.push_back(shifted.back().data() + j);
    }
    const std::vector<float> out = RunBatch(query.bytes.data(), pointers, dim);
    for (size_t j = 0; j < kRows; ++j) {
      Check(out[j], query, rows[j]);
      Check(set_.Pair(op_, type_)(query.bytes.data(), pointers[j], dim), query, rows[j]);
      CheckExact(query.bytes.data(), pointers[j], query, rows[j]);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(Kernels, ReadNotOneByteBehindARowOrTheQuery) {
  GuardedMemory query_memory(4 * 4096);
  GuardedMemory row_memory(4 * 4096);
  for (const size_t dim : Dimensions()) {
    const Vector query = RandomQuery(dim);
    const Vector row = RandomRow(dim);
    const std::byte* q = query_memory.Place(query.bytes);
    const std::byte* r = row_memory.Place(row.bytes);
    for (const float result : RunBatch(q, std::vector<const std::byte*>(11, r), dim))
      Check(result, query, row);
    Check(set_.Pair(op_, type_)(q, r, dim), query, row);
    CheckExact(q, r, query, row);
    if (HasFatalFailure()) return;
  }
}

// Equal vectors have equal distances, whichever of the code's paths computed them.
TEST_P(Kernels, ADistanceIsTheSameToTheLastBitWhereverTheRowStandsInABatch) {
  for (const size_t dim : {1, 31, 33, 96, 100, 128, 130, 960, 1536}) {
    const Vector query = RandomQuery(dim);
    const Vector row = RandomRow(dim);
    const Vector other = RandomRow(dim);
    const float expected = set_.Pair(op_, type_)(query.bytes.data(), row.bytes.data(), dim);
    for (size_t n = 1; n <= 19; ++n) {
      for (size_t place = 0; place < n; ++place) {
        std::vector<const std::byte*> rows(n, other.bytes.data());
        rows[place] = row.bytes.data();
        ASSERT_EQ(RunBatch(query.bytes.data(), rows, dim)[place], expected)
            << "dim " << dim << " n " << n << " place " << place;
      }
    }
  }
}

TEST_P(Kernels, WriteExactlyNResults) {
  constexpr size_t kDim = 37;
  const Vector query = RandomQuery(kDim);
  const Vector row = RandomRow(kDim);
  for (size_t n = 0; n <= 13; ++n) {
    const std::vector<const std::byte*> rows(n, row.bytes.data());
    std::vector<float> out(16, -12345.0f);
    set_.Batch(op_, type_)(query.bytes.data(), rows.data(), n, kDim, out.data());
    EXPECT_EQ(std::count(out.begin(), out.end(), -12345.0f), static_cast<long>(out.size() - n));
    EXPECT_EQ(std::count(out.begin() + n, out.end(), -12345.0f), static_cast<long>(out.size() - n));
  }
}

TEST_P(Kernels, IntegersAreExactAtTheirExtremesInTheLargestDimension) {
  if (!IsInteger(type_)) {  // Floats: the largest dimension only, with sums that are exact too.
    const Vector query = ConstantVector(QueryType(type_), kMaxDim, 2.0);
    const Vector row = ConstantVector(type_, kMaxDim, -1.0);
    EXPECT_EQ(set_.Pair(op_, type_)(query.bytes.data(), row.bytes.data(), kMaxDim),
              (op_ == Op::kL2    ? 9.0f
               : op_ == Op::kDot ? -2.0f
                                 : 3.0f) *
                  kMaxDim);
    return;
  }
  const std::vector<double> extremes =
      type_ == ScalarType::kInt8  ? std::vector<double>{-128, 127, 0, -1}
      : type_ == ScalarType::kBit ? std::vector<double>{0, 1}
                                  : std::vector<double>{0, 255, 128, 127};
  for (const size_t dim : {size_t{kMaxDim}, size_t{kMaxDim} - 1, size_t{4095}}) {
    for (const double a : extremes) {
      for (const double b : extremes) {
        const Vector query = ConstantVector(type_, dim, a);
        const Vector row = ConstantVector(type_, dim, b);
        CheckExact(query.bytes.data(), row.bytes.data(), query, row);
        const std::vector<const std::byte*> rows(5, row.bytes.data());
        for (const float result : RunBatch(query.bytes.data(), rows, dim))
          Check(result, query, row);
        if (HasFatalFailure()) return;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, Kernels, testing::ValuesIn(AllCases()), CaseName);

TEST(HalfToFloatKernel, IsExactForEveryHalf) {
  std::vector<Half> halves;
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) halves.push_back({static_cast<uint16_t>(bits)});
  for (const KernelSet* set : Available()) {
    std::vector<float> out(halves.size());
    set->half_to_float(halves.data(), halves.size(), out.data());
    for (size_t i = 0; i < halves.size(); ++i) {
      const float expected = HalfToFloat(halves[i]);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(out[i])) << set->isa << " " << i;
      } else {
        ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(expected))
            << set->isa << " " << i;
      }
    }
  }
}

TEST(HalfToFloatKernel, ReadsAndWritesExactlyNElements) {
  GuardedMemory in_memory(4096);
  GuardedMemory out_memory(4096);
  for (const KernelSet* set : Available()) {
    for (size_t n = 0; n <= 70; ++n) {
      const Vector in = ConstantVector(ScalarType::kFloat16, n, 1.5);
      const Vector old = ConstantVector(ScalarType::kFloat32, n, -7.0);
      auto* out = reinterpret_cast<float*>(out_memory.Place(old.bytes));
      set->half_to_float(reinterpret_cast<const Half*>(in_memory.Place(in.bytes)), n, out);
      ASSERT_TRUE(std::all_of(out, out + n, [](float f) { return f == 1.5f; })) << set->isa;
    }
  }
}

TEST(Dispatch, EverySetIsCompleteAndThePortableOneIsAlwaysThere) {
  ASSERT_FALSE(Available().empty());
  EXPECT_EQ(Available().back()->isa, "scalar");
  for (const KernelSet* set : Available()) {
    EXPECT_NE(set->half_to_float, nullptr);
    for (size_t op = 0; op < kOps; ++op) {
      for (size_t type = 0; type < kScalarTypes; ++type) {
        const auto scalar = static_cast<ScalarType>(type);
        const bool there = (scalar == ScalarType::kBit) == (static_cast<Op>(op) == Op::kHamming);
        EXPECT_EQ(set->batch[op][type] != nullptr, there) << set->isa;
        EXPECT_EQ(set->pair[op][type] != nullptr, there) << set->isa;
        EXPECT_EQ(set->pair_int[op][type] != nullptr, there && IsInteger(scalar));
      }
    }
  }
}

TEST(Dispatch, TheVersionHeaderSaysTheSame) {
  EXPECT_EQ(ActiveIsa(), Active().isa);
  EXPECT_EQ(IsaNote(), Note());
  std::vector<std::string_view> names;
  for (const KernelSet* set : Available()) names.push_back(set->isa);
  EXPECT_EQ(AvailableIsas(), names);
}

// The pick and the note of a process that is started with SHOAL_ISA=`isa`.
std::array<std::string, 2> PickOfChild(const std::string& isa) {
  std::array<char, 4096> path{};
  if (readlink("/proc/self/exe", path.data(), path.size() - 1) < 0) return {"no /proc", ""};
  const std::string command = "SHOAL_ISA='" + isa + "' '" + path.data() + "' --print-isa";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {"no child", ""};
  std::string output;
  std::array<char, 512> chunk;
  while (fgets(chunk.data(), chunk.size(), pipe) != nullptr) output += chunk.data();
  if (pclose(pipe) != 0) return {"child failed", output};
  const size_t line = output.find('\n');
  return {output.substr(0, line), output.substr(line + 1)};
}

TEST(ShoalIsa, PicksAnySetThatThisCpuHas) {
  for (const KernelSet* set : Available()) {
    const auto [isa, note] = PickOfChild(std::string(set->isa));
    EXPECT_EQ(isa, set->isa);
    EXPECT_THAT(note, IsEmpty());
  }
}

TEST(ShoalIsa, EmptyMeansTheBest) {
  const auto [isa, note] = PickOfChild("");
  EXPECT_EQ(isa, Available().front()->isa);
  EXPECT_THAT(note, IsEmpty());
}

TEST(ShoalIsa, AnUnknownOneIsNotFollowedAndTheNoteSaysSoInOneLine) {
  for (const std::string unknown : {"altivec", "AVX2", "avx2 "}) {
    const auto [isa, note] = PickOfChild(unknown);
    EXPECT_EQ(isa, Available().front()->isa);
    EXPECT_THAT(note, HasSubstr("SHOAL_ISA=" + unknown));
    EXPECT_THAT(note, HasSubstr(std::string(Available().front()->isa)));
    EXPECT_EQ(std::count(note.begin(), note.end(), '\n'), 0);
  }
}

}  // namespace
}  // namespace shoal::distance

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--print-isa") {
    const std::string isa(shoal::ActiveIsa());
    const std::string note(shoal::IsaNote());
    std::printf("%s\n%s", isa.c_str(), note.c_str());
    return 0;
  }
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
