#include "base/ring.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace shoal {
namespace {

TEST(Ring, IsAQueueWhateverItsRoom) {
  std::mt19937_64 random(1);
  Ring<int> ring;
  std::deque<int> expected;
  for (int i = 0; i < 200000; ++i) {
    // Long times of growth and of decline, so that room is freed and reserved again.
    const bool grows = i / 5000 % 2 == 0;
    if (random() % 4 < (grows ? 3u : 1u)) {
      ASSERT_TRUE(ring.Reserve(1));
      ring.Push(i);
      expected.push_back(i);
    } else if (!expected.empty()) {
      ASSERT_EQ(ring.front(), expected.front());
      ring.Pop();
      expected.pop_front();
    }
    if (random() % 100 == 0) ring.Shrink(random() % 3);
    ASSERT_EQ(ring.size(), expected.size());
  }
  for (; !expected.empty(); expected.pop_front(), ring.Pop())
    ASSERT_EQ(ring.front(), expected.front());
  EXPECT_TRUE(ring.empty());
}

TEST(Ring, ShrinkFreesUnusedRoomAndKeepsWhatIsAskedFor) {
  Ring<int> ring;
  ASSERT_TRUE(ring.Reserve(100000));
  EXPECT_GE(ring.bytes(), 100000 * sizeof(int));
  ring.Shrink(60000);
  EXPECT_GE(ring.bytes(), 60000 * sizeof(int)) << "less than half would be free";
  for (int i = 0; i < 1000; ++i) ring.Push(i);
  ring.Shrink(500);
  EXPECT_EQ(ring.bytes(), 1500 * sizeof(int));
  for (int i = 0; i < 500; ++i) ring.Push(1000 + i);
  for (int i = 0; i < 1500; ++i, ring.Pop()) ASSERT_EQ(ring.front(), i);
  ring.Shrink(0);
  EXPECT_LE(ring.bytes(), 256u);
}

}  // namespace
}  // namespace shoal
