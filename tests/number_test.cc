#include "base/number.h"

#include <gtest/gtest.h>

namespace shoal {
namespace {

TEST(Number, IsWrittenAsPeopleWriteIt) {
  EXPECT_EQ(Written(7), "7");
  EXPECT_EQ(Written(-3), "-3");
  EXPECT_EQ(Written(16777217), "16777217");
  EXPECT_EQ(Written(1.2f), "1.2");
  EXPECT_EQ(Written(0.9999999f), "0.9999999");
  EXPECT_EQ(Written(2.3e19f), "2.3e19");
  EXPECT_EQ(Written(1.1e-19), "1.1e-19");
  EXPECT_EQ(Written(5e40), "5e40");
}

}  // namespace
}  // namespace shoal
