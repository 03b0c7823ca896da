// Centres come and go beside threads that encode and bind.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "codec/rq_codec.h"
#include "tests/coded_rows.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

// A row of a set that a scorer knows has its distance, any other is infinitely far. As an index
// does, a centre waits until no thread is in a call that began before the last one of its place
// went.
TEST(RqCentresRaces, RowsAndScorersAreWholeWhileCentresComeAndGo) {
  constexpr size_t kDim = 32, kRounds = 40;
  const Rows rows = test::Generator(ScalarType::kFloat32, {.dim = kDim}, 4).Many(8);
  RqCodec codec({Metric::kL2, kDim, 4}, 7);
  std::atomic<size_t> round{0};
  std::atomic<size_t> seen[2] = {0, 0};  // The rounds that each thread's next call begins in.

  const auto read = [&](std::atomic<size_t>& mine) {
    std::vector<std::byte> row(codec.row_bytes()), buffer(codec.buffer_bytes());
    std::vector<float> decoded(kDim);
    for (size_t i = 0; round.load() < kRounds; ++i) {
      mine.store(round.load());
      codec.Encode(rows[i % 8], row.data());
      codec.Decode(row.data(), decoded);
      EXPECT_LT(test::Distance(Metric::kL2, decoded, rows.values(i % 8)), 8)
          << "of an error of .03 of |x - c|^2";
      const std::byte* pointer = row.data();
      float score = 0;
      codec.BindQuery(rows[i % 8], buffer.data()).Score(&pointer, 1, &score);
      EXPECT_TRUE(std::isinf(score) || std::abs(score) < 10) << score;
      codec.BindRow(row.data(), buffer.data()).Score(&pointer, 1, &score);
      EXPECT_EQ(score, 0);
    }
    mine.store(kRounds);
  };
  std::thread one([&] { read(seen[0]); }), two([&] { read(seen[1]); });
  std::vector<float> centre(kDim);
  while (round.load() < kRounds) {
    for (float& x : centre) x = static_cast<float>(round.load() % 3) * 0.5f;
    const uint32_t old = codec.current_set();
    ASSERT_TRUE(codec.AddCentre(centre));
    codec.DropCentre(old);
    const size_t now = round.fetch_add(1) + 1;
    for (const std::atomic<size_t>& thread : seen)
      while (thread.load() < now) std::this_thread::yield();
  }
  one.join();
  two.join();
}

}  // namespace
}  // namespace shoal
