// One environment of a file in a process: also while another thread closes it, where this program's
// munmap stands in front of the C library's, so that LMDB is slow to close a file.
#include "db/environment.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "temp_folder.h"

namespace shoal {
namespace {

constexpr uint64_t kMapBytes = uint64_t{67} << 20;  // Tells the file's map from others.
std::atomic<bool> closing = false, reading = false;

void Pause() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

// Waits for a reader, which may be waiting for this.
void MeetReader() {
  closing = true;
  for (int i = 0; i < 100 && !reading; ++i) Pause();
}

}  // namespace
}  // namespace shoal

extern "C" __attribute__((visibility("default"))) int munmap(void* map, size_t bytes) noexcept {
  static auto* const real = reinterpret_cast<int (*)(void*, size_t)>(dlsym(RTLD_NEXT, "munmap"));
  if (bytes == shoal::kMapBytes && !shoal::closing) shoal::MeetReader();
  return real(map, bytes);
}

namespace shoal {
namespace {

// LMDB wants one environment of a file in a process: to close a second one takes the readers and
// the locks of the first.
TEST(Environment, ReaderStaysThatComesWhileAnotherThreadClosesTheFile) {
  const TempFolder folder;
  const std::filesystem::path path = folder / "points.db";
  const EnvironmentOptions options = {.create = true, .max_bytes = kMapBytes};
  Result<std::shared_ptr<Environment>> first = Environment::Open(path, options);
  ASSERT_TRUE(first);
  ASSERT_TRUE((*first)->Read());
  std::thread closer([&] { first->reset(); });
  while (!closing) Pause();
  const Result<std::shared_ptr<Environment>> second = Environment::Open(path, options);
  ASSERT_TRUE(second);
  const Result<ReadTxn> txn = (*second)->Read();
  reading = true;
  closer.join();
  ASSERT_TRUE(txn);
  const Result<EnvironmentStats> stats = (*second)->Stat();
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->readers, 1u);
}

TEST(Environment, IsOneOfItsFileUnderARelativePathToo) {
  const TempFolder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder / "");
  const auto created = Environment::Open("points.db", {.create = true, .max_bytes = 1 << 20});
  const auto opened = Environment::Open("points.db", {.max_bytes = 1 << 20});
  std::filesystem::current_path(before);
  ASSERT_TRUE(created && opened);
  EXPECT_TRUE(*created == *opened);
  EXPECT_TRUE(*created == *Environment::Open(folder / "points.db", {.max_bytes = 1 << 20}));
}

// What is open is not the file that the path names any more.
TEST(Environment, IsNotThatOfAFileThatWasDeletedOrReplaced) {
  const TempFolder folder;
  const std::filesystem::path path = folder / "points.db", moved = folder / "moved.db";
  const EnvironmentOptions options = {.create = true, .max_bytes = 1 << 20};
  auto open = Environment::Open(path, options);
  ASSERT_TRUE(open);
  std::filesystem::rename(path, moved);
  const auto deleted = Environment::Open(path, options);
  std::ofstream(path) << "another";
  const auto replaced = Environment::Open(path, options);
  for (const auto* refused : {&deleted, &replaced}) {
    ASSERT_FALSE(*refused);
    EXPECT_EQ(refused->error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_NE(deleted.error().message.find("found none"), std::string::npos);
  EXPECT_NE(replaced.error().message.find("found another"), std::string::npos);
  std::filesystem::rename(moved, path);
  EXPECT_TRUE(*open == *Environment::Open(path, options));
  std::filesystem::remove(path);
  open->reset();
  EXPECT_TRUE(Environment::Open(path, options));
}

}  // namespace
}  // namespace shoal
