// A process of its own: it weighs itself while an index grows in it.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <fstream>
#include <random>
#include <thread>

#include "shoal/index.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// Resident memory that is no file's, without what is free in the heap. How much of a program's code
// a fault brings in is up to the file system and what it has in its cache: a megabyte more or less.
uint64_t ResidentBytes() {
  malloc_trim(0);
  std::ifstream rollup("/proc/self/smaps_rollup");
  for (std::string word; rollup >> word;) {
    uint64_t kilobytes = 0;
    if (word == "Anonymous:" && rollup >> kilobytes) return kilobytes << 10;
  }
  // Systems without it know the same, to some pages.
  std::ifstream statm("/proc/self/statm");
  uint64_t size = 0, resident = 0, of_files = 0;
  statm >> size >> resident >> of_files;
  return (resident - of_files) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

class StatsOfABuild : public testing::TestWithParam<size_t> {};

// Each in a process of its own, as ctest runs them: what another's threads have left in the heap
// would be used again.
TEST_P(StatsOfABuild, MemoryAddsUpToWhatTheProcessGrewBy) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's own memory is most of the process";
  constexpr size_t kN = 100000, kDim = 48;
  // Made before the first weighing, and touched: they are not the index's. Nor is a thread's stack.
  std::vector<uint8_t> rows(kN * kDim);
  std::mt19937_64 random(1);
  for (uint8_t& x : rows) x = static_cast<uint8_t>(random());
  const std::vector<ExternalId> ids = test::Iota(kN);
  std::thread([] {}).join();
  const uint64_t before = ResidentBytes();
  Result<Index> index = Index::Create(
      {.dim = kDim, .scalar_type = ScalarType::kUint8, .max_degree = 24, .build_list_size = 12});
  ASSERT_TRUE(index);
  const MatrixView view(std::span<const uint8_t>(rows), kDim);
  ASSERT_EQ(index->InsertMany(ids, view, {.threads = GetParam()})->done, kN);
  const auto grown = static_cast<double>(ResidentBytes() - before);
  const MemoryBreakdown memory = index->Stats().memory;
  const auto total = static_cast<double>(memory.total());
  EXPECT_LT(std::abs(total - grown), 0.02 * grown)
      << "process grew by " << grown << ", stats say " << total << ": vectors " << memory.vectors
      << ", neighbors " << memory.neighbors << ", reverse lists " << memory.reverse_lists
      << ", slots " << memory.slots << ", id map " << memory.id_map << ", scratch "
      << memory.scratch;
  // Each part is at least what it holds.
  EXPECT_GE(memory.vectors, kN * kDim);
  EXPECT_GE(memory.neighbors, index->Stats().edges * sizeof(uint32_t));
  EXPECT_GE(memory.reverse_lists, index->Stats().edges * sizeof(uint32_t));
  EXPECT_GE(memory.slots, kN * (sizeof(ExternalId) + 1));
  EXPECT_GE(memory.id_map, kN * sizeof(uint32_t));
  EXPECT_GT(memory.scratch, 0u);
}

INSTANTIATE_TEST_SUITE_P(Threads, StatsOfABuild, testing::Values(1, 2));

// One index for each of many users: what is empty or small pays for no huge pages.
TEST(Stats, AHundredSmallIndicesTakeLessThanAMegabyteEach) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's own memory is most of the process";
  constexpr size_t kIndices = 100, kN = 300;
  constexpr uint64_t kMegabyte = 1 << 20;
  const test::Rows rows = test::Generator(ScalarType::kFloat32, {.dim = 64}, 1).Many(kN);
  const uint64_t before = ResidentBytes();
  std::vector<Index> indices;
  for (size_t i = 0; i < kIndices; ++i) {
    indices.push_back(*Index::Create({.dim = 64}));
    EXPECT_LT(indices.back().Stats().memory.total(), kMegabyte / 2) << "empty";
    ASSERT_EQ(indices.back().InsertMany(test::Iota(kN), rows.view(), {.threads = 1})->done, kN);
    EXPECT_LT(indices.back().Stats().memory.total(), kMegabyte);
  }
  EXPECT_LT(ResidentBytes() - before, kIndices * kMegabyte);
  for (Index& index : indices) ASSERT_EQ(index.Search(rows[7], {.k = 1})->at(0).id, 7u);
}

// Of all that an index took of the process a fifth is left at most, and half of it as soon as the
// older half is gone, without Compact.
TEST(Stats, MemoryOfDeletedPointsLeavesTheProcess) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's own memory is most of the process";
  constexpr size_t kN = 40000, kDim = 400;
  const test::Rows rows = test::Generator(ScalarType::kFloat32, {.dim = kDim}, 1).Many(kN);
  std::vector<ExternalId> ids = test::Iota(kN);
  const uint64_t before = ResidentBytes();
  Result<Index> index = Index::Create({.dim = kDim, .max_degree = 16, .build_list_size = 12});
  ASSERT_TRUE(index);
  const BatchOptions one_thread{.threads = 1};
  ASSERT_EQ(index->InsertMany(ids, rows.view(), one_thread)->done, kN);
  const auto grown = static_cast<double>(ResidentBytes() - before);
  const std::span<const ExternalId> older(ids.data(), kN / 2);
  ASSERT_EQ(index->DeleteMany(older, one_thread)->done, kN / 2);
  ASSERT_TRUE(index->Consolidate(one_thread));
  // Nine tenths of it are rows; what else there is comes back with Compact.
  EXPECT_LE(static_cast<double>(ResidentBytes() - before), 0.65 * grown);
  std::shuffle(ids.begin() + kN / 2, ids.end(), std::mt19937_64(1));
  const std::span<const ExternalId> others(ids.data() + kN / 2, kN * 2 / 5);
  ASSERT_EQ(index->DeleteMany(others, one_thread)->done, others.size());
  ASSERT_TRUE(index->Compact(one_thread));
  EXPECT_EQ(index->size(), kN / 10);
  EXPECT_LE(static_cast<double>(ResidentBytes() - before), 0.2 * grown);
  EXPECT_LE(static_cast<double>(index->Stats().memory.total()), 0.2 * grown);
}

// The backlog would keep a thread busy for longer than this waits, and is small enough for deletes
// not to help.
TEST(Stats, ARepairerInTheBackgroundTakesNoMoreThanItsShareOfACpu) {
  constexpr size_t kN = 20000;
  const test::Rows rows = test::Generator(ScalarType::kFloat32, {.dim = 32}, 1).Many(kN);
  Result<Index> index =
      Index::Create({.dim = 32,
                     .build_list_size = 40,
                     .runtime = {.repair = RepairPolicy::kBackground, .repair_share = 2}});
  const std::vector<ExternalId> ids = test::Iota(kN);
  ASSERT_EQ(index->InsertMany(ids, rows.view())->done, kN);
  ASSERT_EQ(index->DeleteMany(std::span(ids).first(kN / 5))->done, kN / 5);
  const uint64_t repaired = index->Diagnostics().retirements;
  const std::clock_t cpu = std::clock();  // Of the whole process; this thread sleeps.
  const auto begin = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  const double share = static_cast<double>(std::clock() - cpu) /
                       static_cast<double>(CLOCKS_PER_SEC) / seconds.count();
  EXPECT_GT(index->Diagnostics().retirements, repaired);
  EXPECT_GT(index->Stats().pending_repairs, 0u);
  EXPECT_LT(share, 0.1) << "two hundredths, and slack for what a machine does meanwhile";
}

TEST(Stats, MappedBytesAreThoseOfTheIndicesThatLive) {
  const uint64_t before = MappedBytes();
  {
    Result<Index> index = Index::Create({.dim = 64});
    const test::Rows rows = test::Generator(ScalarType::kFloat32, {.dim = 64}, 1).Many(4000);
    for (size_t i = 0; i < rows.size(); ++i) ASSERT_TRUE(index->Insert(i, rows[i]));
    const MemoryBreakdown memory = index->Stats().memory;
    EXPECT_GE(MappedBytes() - before, memory.vectors + memory.neighbors);
    const uint64_t full = MappedBytes();
    ASSERT_TRUE(index->Clear());
    ASSERT_TRUE(index->Compact());
    EXPECT_LT(MappedBytes(), full - memory.vectors / 2);
  }
  EXPECT_EQ(MappedBytes(), before);
}

// Hooks that count, and refuse beyond a limit.
struct Host {
  ~Host() { EXPECT_TRUE(SetMemoryHooks({})); }
  static bool Take(void* user, uint64_t bytes) {
    auto* const host = static_cast<Host*>(user);
    if (bytes > host->limit || host->taken > host->limit - bytes) return false;
    host->taken += bytes;
    return true;
  }
  static void GiveBack(void* user, uint64_t bytes) { static_cast<Host*>(user)->taken -= bytes; }
  MemoryHooks hooks() { return {Take, GiveBack, this}; }
  std::atomic<uint64_t> limit = UINT64_MAX;
  std::atomic<uint64_t> taken = 0;
};

TEST(MemoryHooks, AreToldOfAllBytesThatComeAndGo) {
  ASSERT_EQ(MappedBytes(), 0u);
  Host host;
  ASSERT_TRUE(SetMemoryHooks(host.hooks()));
  constexpr size_t kRows = 20'000;  // Enough for whole pages that become holes.
  const test::Rows rows = test::Generator(ScalarType::kFloat32, {.dim = 256}, 1).Many(kRows);
  {
    Index index = *Index::Create({.dim = 256, .max_degree = 4, .build_list_size = 4});
    for (size_t i = 0; i < kRows; ++i) ASSERT_TRUE(index.Insert(i, rows[i]));
    EXPECT_EQ(host.taken, MappedBytes());
    EXPECT_GE(host.taken, index.Stats().memory.vectors);
    EXPECT_EQ(SetMemoryHooks({}).error().code, ErrorCode::kInvalidArgument) << "an index is there";
    const uint64_t full = host.taken;
    for (size_t i = 0; i < kRows / 2; ++i) ASSERT_TRUE(index.Delete(i));
    EXPECT_EQ(host.taken, MappedBytes());
    EXPECT_LT(host.taken, full) << "holes";
    for (size_t i = 0; i < kRows / 2; ++i) ASSERT_TRUE(index.Insert(i, rows[i]));
    EXPECT_EQ(host.taken, MappedBytes());
    ASSERT_TRUE(index.Clear());
    ASSERT_TRUE(index.Compact());
    EXPECT_EQ(host.taken, MappedBytes());
  }
  EXPECT_EQ(host.taken, 0u);
}

TEST(MemoryHooks, ThatRefuseMakeAnInsertAnErrorThatLeavesNothingBehind) {
  Host host;
  ASSERT_TRUE(SetMemoryHooks(host.hooks()));
  const test::Rows rows = test::Generator(ScalarType::kFloat32, {.dim = 256}, 1).Many(5000);
  {
    Index index = *Index::Create({.dim = 256});
    host.limit = host.taken + (uint64_t{2} << 20);
    size_t done = 0;
    Status inserted;
    while (done < rows.size() && (inserted = index.Insert(done, rows[done]))) ++done;
    ASSERT_FALSE(inserted);
    EXPECT_EQ(inserted.error().code, ErrorCode::kOutOfMemory);
    EXPECT_LE(host.taken, host.limit);
    EXPECT_EQ(host.taken, MappedBytes());
    EXPECT_EQ(index.size(), done);
    EXPECT_TRUE(index.CheckStructure());
    EXPECT_TRUE(index.Delete(0));
    EXPECT_TRUE(index.Insert(0, rows[0])) << "in the memory of the deleted point";
    host.limit = UINT64_MAX;
    EXPECT_TRUE(index.Insert(done, rows[done]));
    host.limit = 0;
    Index other = *Index::Create({.dim = 4});
    const Status refused = other.Insert(1, std::vector<float>(4));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kOutOfMemory);
  }
  EXPECT_EQ(host.taken, 0u);
}

TEST(MemoryHooks, AreBothOrNone) {
  Host host;
  MemoryHooks one = host.hooks();
  one.give_back = nullptr;
  EXPECT_EQ(SetMemoryHooks(one).error().code, ErrorCode::kInvalidArgument);
}

TEST(Stats, CountPointsSlotsAndEdges) {
  Result<Index> index = Index::Create({.dim = 4, .max_degree = 6, .build_list_size = 10});
  const test::Rows rows = test::Generator(ScalarType::kFloat32, {.dim = 4}, 1).Many(500);
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSERT_TRUE(index->Insert(i, rows[i]));
    ASSERT_EQ(index->Stats().points, i + 1);
  }
  const IndexStats stats = index->Stats();
  EXPECT_EQ(stats.slots_used, 501u) << "and the start point";
  EXPECT_GE(stats.edges, 500u);
  EXPECT_LE(stats.edges, 501u * 6);
  EXPECT_DOUBLE_EQ(stats.average_degree, static_cast<double>(stats.edges) / 501);
  const IndexDiagnostics inner = index->Diagnostics();
  EXPECT_EQ(inner.oldest_pin, inner.epoch);
  EXPECT_GE(stats.work.prunes, 500u);
  EXPECT_GT(stats.work.lists_written, 500u);
}

}  // namespace
}  // namespace shoal
