// Calibration beside writers, and of an index that goes away.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "shoal/index.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

constexpr uint32_t kDim = 16;

Rows Cloud(size_t n, uint64_t seed) {
  return test::Generator(ScalarType::kFloat32, {.dim = kDim, .clusters = 0}, seed).Many(n);
}

Index Build(const Rows& rows, Code code) {
  Result<Index> index = Index::Create({.dim = kDim, .code = code, .max_degree = 12});
  EXPECT_TRUE(index);
  EXPECT_TRUE(index->InsertMany(test::Iota(rows.size()), rows.view()));
  return std::move(*index);
}

TEST(CalibrationRaces, AnIndexMayGoWhileItIsCalibrated) {
  const Rows rows = Cloud(300, 1);
  for (int i = 0; i < 20; ++i) {
    const Index index = Build(rows, Code::kFull);
    for (int searches = 0; searches <= i; ++searches)
      ASSERT_TRUE(index.Search(rows[0], {.k = 10, .target_recall = .95}));
  }
}

TEST(CalibrationRaces, WritersAndSearchesGoOnMeanwhile) {
  const Rows rows = Cloud(400, 1);
  for (const Code code : {Code::kFull, Code::kRq4}) {
    Index index = Build(rows, code);
    std::atomic<bool> done{false};
    std::thread writer([&] {
      for (size_t i = 0; !done; i = (i + 1) % rows.size()) {
        EXPECT_TRUE(index.Upsert(i, rows[(i * 7) % rows.size()]));
        EXPECT_TRUE(index.Delete(i));
        EXPECT_TRUE(index.Insert(i, rows[i]));
      }
    });
    std::thread searcher([&] {
      for (size_t i = 0; !done; i = (i + 1) % rows.size()) {
        const auto hits = index.Search(rows[i], {.k = 10, .target_recall = .9});
        EXPECT_TRUE(hits && hits->size() == 10);
      }
    });
    const auto found = index.Calibrate(10, .9, {.threads = 1});
    done = true;
    writer.join();
    searcher.join();
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_GE(found->recall, .85) << "of a truth that has changed meanwhile";
  }
}

}  // namespace
}  // namespace shoal
