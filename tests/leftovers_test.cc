// What killed writers leave beside their targets, and targets that are no files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "shoal/index.h"
#include "temp_folder.h"

namespace shoal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::set<std::string> NamesIn(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}

Index OnePoint() {
  auto index = Index::Create({.dim = 2});
  EXPECT_TRUE(index->Insert(1, std::vector<float>{1, 2}));
  return std::move(*index);
}

// A process that is killed while it writes `target`.
void LeaveOne(const std::filesystem::path& target) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto file = OutputFile::Create(target);
    if (file && file->Append("half", 4)) raise(SIGKILL);
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
}

TEST(Leftovers, OfAKilledProcessAreRemovedByTheNextSave) {
  for (const std::string& name : {std::string("x"), std::string(NAME_MAX, 'n')}) {
    const TempFolder folder;
    LeaveOne(folder / name);
    ASSERT_EQ(NamesIn(folder / ".").size(), 1u);
    ASSERT_TRUE(OnePoint().Save(folder / name));
    EXPECT_THAT(NamesIn(folder / "."), ElementsAre(name));
  }
}

TEST(Leftovers, AreThoseOfThisTargetOnly) {
  const TempFolder folder;
  const std::set<std::string> others = {"x.tmp-1",    "x.tmp-1-",  "x.tmp-a-2", "x.tmp-1-2.txt",
                                        "xy.tmp-1-2", "y.tmp-1-2", "x.tmp"};
  for (const std::string& name : others) std::ofstream(folder / name) << "kept";
  std::filesystem::create_directory(folder / "x.tmp-7-7");
  ASSERT_TRUE(OnePoint().Save(folder / "x"));
  std::set<std::string> expected = others;
  expected.insert({"x", "x.tmp-7-7"});
  EXPECT_EQ(NamesIn(folder / "."), expected);
}

TEST(Leftovers, AreNotTheFilesThatOthersWriteAtTheMoment) {
  const TempFolder folder;
  auto first = OutputFile::Create(folder / "x");
  ASSERT_TRUE(first && first->Append("first", 5));
  auto finished = OutputFile::Create(folder / "x");
  ASSERT_TRUE(finished && finished->Append("second", 6) && finished->Finish());
  ASSERT_TRUE(OnePoint().Save(folder / "x"));
  EXPECT_EQ(NamesIn(folder / ".").size(), 3u);
  EXPECT_TRUE(Index::Load(folder / "x"));
  EXPECT_TRUE(finished->Publish());
  EXPECT_TRUE(first->Commit());
  EXPECT_THAT(NamesIn(folder / "."), ElementsAre("x"));
}

TEST(Leftovers, AreNotMadeByThreadsThatSaveToOnePath) {
  const TempFolder folder;
  const Index index = OnePoint();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        const Status saved = index.Save(folder / "x");
        EXPECT_TRUE(saved) << saved.error().message;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(NamesIn(folder / "."), ElementsAre("x"));
  EXPECT_TRUE(Index::Load(folder / "x"));
}

TEST(Save, ToWhatIsNoFileNameFailsBeforeItWrites) {
  const TempFolder folder;
  const Index index = OnePoint();
  bool told = false;
  const BatchOptions batch{.progress = [&](size_t, size_t) { told = true; }};
  const Status empty = index.Save("", batch);
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(empty.error().message, "path: expected the name of a file, found \"\"");
  const Status directory = index.Save(folder / "", batch);
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error().message, HasSubstr("found a directory"));
  EXPECT_FALSE(index.Save(folder / "missing/", batch));
  EXPECT_FALSE(told);
  EXPECT_TRUE(NamesIn(folder / ".").empty());
}

}  // namespace
}  // namespace shoal
