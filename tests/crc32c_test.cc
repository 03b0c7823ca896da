#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <string>

#include "tests/test_data.h"

namespace shoal {
namespace {

using Crc = uint32_t (*)(const void*, size_t, uint32_t);

class Crc32cTest : public ::testing::TestWithParam<Crc> {
 protected:
  void SetUp() override {
    if (GetParam() == Crc32cByInstruction && !HasCrc32cInstruction())
      GTEST_SKIP() << "this CPU has no crc32 instruction";
  }
  static uint32_t Of(const std::string& bytes, uint32_t before = 0) {
    return GetParam()(bytes.data(), bytes.size(), before);
  }
};

// RFC 3720, B.4, and the check value of the catalogue of CRCs.
TEST_P(Crc32cTest, KnownVectorsHaveTheirChecksums) {
  std::string ascending(32, 0);
  std::iota(ascending.begin(), ascending.end(), 0);
  EXPECT_EQ(Of(""), 0u);
  EXPECT_EQ(Of("123456789"), 0xe3069283u);
  EXPECT_EQ(Of(std::string(32, 0)), 0x8a9136aau);
  EXPECT_EQ(Of(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(Of(ascending), 0x46dd794eu);
  EXPECT_EQ(Of({ascending.rbegin(), ascending.rend()}), 0x113fdb5cu);
}

TEST_P(Crc32cTest, PiecesOfAnyLengthAndAlignmentMakeTheChecksumOfTheWhole) {
  std::mt19937_64 random(test::Seed());
  std::string bytes(300, 0);
  for (char& byte : bytes) byte = static_cast<char>(random());
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    EXPECT_EQ(Of(bytes.substr(cut), Of(bytes.substr(0, cut))), Crc32c(bytes.data(), bytes.size()));
    EXPECT_EQ(GetParam()(bytes.data() + cut, bytes.size() - cut, 0), Of(bytes.substr(cut)));
  }
}

TEST_P(Crc32cTest, LongInputsHaveOneChecksumInEveryWay) {
  std::mt19937_64 random(test::Seed());
  std::string bytes(20'000, 0);
  for (char& byte : bytes) byte = static_cast<char>(random());
  for (int i = 0; i < 200; ++i) {
    const size_t begin = random() % bytes.size(), size = random() % (bytes.size() - begin);
    const auto before = static_cast<uint32_t>(random());
    EXPECT_EQ(GetParam()(bytes.data() + begin, size, before),
              Crc32cByTable(bytes.data() + begin, size, before));
  }
}

INSTANTIATE_TEST_SUITE_P(EveryWay, Crc32cTest,
                         ::testing::Values(&Crc32c, &Crc32cByTable, &Crc32cByInstruction));

}  // namespace
}  // namespace shoal
