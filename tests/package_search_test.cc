// The parts of examples/package_search on a few hand-written stanzas.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "package_search/latency.h"
#include "package_search/live_run.h"
#include "package_search/packages.h"
#include "package_search/queries.h"
#include "package_search/screen.h"
#include "package_search/text.h"
#include "package_search/vectorizer.h"

namespace package_search {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kStanzas = R"(Package: libhnswlib-dev
Version: 0.6.2-2
Description: fast approximate nearest neighbor search
 A longer text that is not the synopsis.
Description-md5: c6ef7f656c66b99b44c182c1675b4c13
Tag: devel::library, role::devel-lib
Section: libdevel

Package: python3-hnswlib
Depends: libc6 (>= 2.32), python3:any (<< 3.12), python3-numpy | python3-numpy-abi9, libc6
Pre-Depends: dpkg
Description-en: Python bindings for hnswlib: fast approximate nearest neighbor search
Section: contrib/python


Package: git
Description-en_GB: fast, scalable, distributed revision control system
Tag: devel::rcs, interface::text-mode,
 works-with::file,
 works-with::vcs
Section: vcs

Version: 1
Description: a stanza without a package

Package: git
Description: the same name again
Section: vcs

Package: gnuchess
Description: Plays a game of chess
Section: games
Depends: libc6)";

std::vector<Package> Sample() { return ParsePackages(kStanzas); }

double Dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
  return sum;
}

std::vector<float> VectorOf(const Vectorizer& vectorizer, const Package& package) {
  std::vector<float> out(kVectorDim);
  vectorizer.Embed(package, out);
  return out;
}

std::vector<float> VectorOf(const Vectorizer& vectorizer, std::string_view text) {
  std::vector<float> out(kVectorDim);
  vectorizer.EmbedText(text, out);
  return out;
}

TEST(ParsePackages, TakesNamesOnceInOrderAndSkipsNamelessStanzas) {
  std::vector<std::string> names;
  for (const Package& package : Sample()) names.push_back(package.name);
  EXPECT_THAT(names, ElementsAre("libhnswlib-dev", "python3-hnswlib", "git", "gnuchess"));
}

TEST(ParsePackages, SynopsisIsTheFirstLineOfAnyDescriptionButTheChecksum) {
  const auto packages = Sample();
  EXPECT_EQ(packages[0].synopsis, "fast approximate nearest neighbor search");
  EXPECT_THAT(packages[1].synopsis, HasSubstr("Python bindings"));
  EXPECT_EQ(packages[2].synopsis, "fast, scalable, distributed revision control system");
  EXPECT_THAT(ParsePackages("Package: a\nDescription-md5: 00\n")[0].synopsis, IsEmpty());
}

TEST(ParsePackages, FieldsThatGoOnOverLinesAreReadWhole) {
  EXPECT_THAT(Sample()[2].tags, ElementsAre("devel::rcs", "interface::text-mode",
                                            "works-with::file", "works-with::vcs"));
}

TEST(ParsePackages, DependenciesAreBareNamesEachOnce) {
  EXPECT_THAT(Sample()[1].depends,
              ElementsAre("libc6", "python3", "python3-numpy", "python3-numpy-abi9", "dpkg"));
}

TEST(ParsePackages, SectionLosesItsArchiveArea) { EXPECT_EQ(Sample()[1].section, "python"); }

TEST(ParsePackages, LaterStanzaLendsItsSynopsisToAnEmptyOne) {
  const auto packages = ParsePackages("Package: a\n\nPackage: a\nDescription: late\n");
  ASSERT_EQ(packages.size(), 1u);
  EXPECT_EQ(packages[0].synopsis, "late");
}

TEST(ParsePackages, CarriageReturnsAndEscapeSequencesDoNotReachTheTerminal) {
  const auto packages = ParsePackages(
      "Package: a\r\nDescription: one\x1b[31mtwo\r\nSection: x\r\n\r\nPackage: b\r\n");
  ASSERT_EQ(packages.size(), 2u);
  EXPECT_EQ(packages[0].synopsis, "one [31mtwo");
  EXPECT_EQ(packages[0].name, "a");
}

TEST(ParsePackages, NoiseIsNoPackage) {
  EXPECT_THAT(ParsePackages(""), IsEmpty());
  EXPECT_THAT(ParsePackages("\n\n\n"), IsEmpty());
  EXPECT_THAT(ParsePackages("no colon\n continued\n:\nPackage:\n"), IsEmpty());
}

TEST(ReadPackageFile, SaysWhichFileAndWhatWasFound) {
  const auto missing = ReadPackageFile("/no/such/file");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("/no/such/file"));

  const auto path = std::filesystem::temp_directory_path() /
                    ("shoal_package_search_" + std::to_string(getpid()) + ".txt");
  std::ofstream(path) << "nothing here\n";
  const auto empty = ReadPackageFile(path);
  std::filesystem::remove(path);
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error().message, HasSubstr("none in 13 bytes"));

  const auto directory = ReadPackageFile("/");
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error().message, HasSubstr("cannot read"));
}

TEST(Words, AreLowerCaseWithoutPluralsAndKeepPlusAndHash) {
  EXPECT_THAT(Words("C++ Bindings, libraries (C#)"),
              ElementsAre("c++", "binding", "library", "c#"));
  EXPECT_THAT(Words("access status analysis ies"),
              ElementsAre("access", "status", "analysis", "ies"));
  EXPECT_THAT(Words("Écran 3d-printing"), ElementsAre("Écran", "3d", "printing"));
  EXPECT_THAT(Words(" .,+# "), IsEmpty());
}

TEST(NameWords, TakeDebiansWrappingOff) {
  EXPECT_THAT(NameWords("libhnswlib-dev"), ElementsAre("libhnswlib", "hnswlib", "dev"));
  EXPECT_THAT(NameWords("libacl1"), ElementsAre("libacl1", "libacl", "acl"));
  EXPECT_THAT(NameWords("2048"), ElementsAre("2048"));
  EXPECT_THAT(NameWords("lib-lib"), ElementsAre("lib"));
}

TEST(NGrams, AreThreeAndFourCharactersWithTheWordsEnds) {
  std::string memory;
  EXPECT_THAT(NGrams("git", memory), ElementsAre("<gi", "git", "it>", "<git", "git>"));
  EXPECT_THAT(NGrams("r", memory), ElementsAre("<r>"));
}

TEST(HashText, IsTheSameEverywhere) {
  // FNV-1a of the empty text with seed 0 is its offset basis, then the finaliser of MurmurHash3.
  EXPECT_EQ(HashText("", 0), MixBits(0xcbf29ce484222325ull));
  EXPECT_EQ(MixBits(1), 0xb456bcfc34c2cb2cull);
  EXPECT_NE(HashText("libs", 1), HashText("libs", 2));
}

TEST(Vectorizer, SameTextGivesTheSameBitsOnAnyNumberOfThreads) {
  const auto packages = Sample();
  const Vectorizer first(packages), second(packages);
  const auto one = EmbedAll(first, packages, 1);
  EXPECT_EQ(one, EmbedAll(second, packages, 3));
  EXPECT_EQ(VectorOf(first, packages[1]),
            std::vector<float>(one.begin() + kVectorDim, one.begin() + 2 * kVectorDim));
}

TEST(Vectorizer, VectorsHaveLengthOneAndTextWithoutWordsIsZero) {
  const auto packages = Sample();
  const Vectorizer vectorizer(packages);
  for (const Package& package : packages) {
    const auto vector = VectorOf(vectorizer, package);
    EXPECT_NEAR(Dot(vector, vector), 1, 1e-5) << package.name;
  }
  const auto unknown = VectorOf(vectorizer, "zzyzx");
  EXPECT_NEAR(Dot(unknown, unknown), 1, 1e-5);
  EXPECT_EQ(VectorOf(vectorizer, "?!"), std::vector<float>(kVectorDim));
}

TEST(Vectorizer, SinglePackageHasAVectorThoughEveryWordIsEverywhere) {
  const auto packages = ParsePackages("Package: alone\nDescription: by itself\n");
  const auto vector = VectorOf(Vectorizer(packages), packages[0]);
  EXPECT_NEAR(Dot(vector, vector), 1, 1e-5);
}

TEST(Vectorizer, RelatedTextsAreNearerThanUnrelatedOnes) {
  const auto packages = Sample();
  const Vectorizer vectorizer(packages);
  const auto hnswlib = VectorOf(vectorizer, packages[0]);
  const auto gnuchess = VectorOf(vectorizer, packages[3]);
  EXPECT_GT(Dot(hnswlib, VectorOf(vectorizer, packages[1])), Dot(hnswlib, gnuchess) + 0.15);
  EXPECT_GT(Dot(hnswlib, VectorOf(vectorizer, "nearest")),
            Dot(gnuchess, VectorOf(vectorizer, "nearest")) + 0.1);
}

TEST(Vectorizer, SpellingsOfAWordAreNearThroughTheirNGrams) {
  const Vectorizer vectorizer(Sample(), {.n_gram = 2});
  // Words of no package, so that every feature weighs the same.
  const auto behaviour = VectorOf(vectorizer, "behaviour");
  EXPECT_GT(Dot(behaviour, VectorOf(vectorizer, "behavior")),
            Dot(behaviour, VectorOf(vectorizer, "molecule")) + 0.2);
}

TEST(Vectorizer, IdfFallsWithTheNumberOfPackagesThatHaveTheWord) {
  const Vectorizer vectorizer(Sample());
  // 4 packages: "neighbor" is in 2, "chess" in 1, "zzyzx" in none.
  EXPECT_FLOAT_EQ(vectorizer.WordIdf("neighbor"), std::log(5 / 2.5f));
  EXPECT_FLOAT_EQ(vectorizer.WordIdf("chess"), std::log(5 / 1.5f));
  EXPECT_FLOAT_EQ(vectorizer.WordIdf("zzyzx"), std::log(5 / 0.5f));
}

TEST(Latency, BucketsAreInOrderAndAtMostOneThirtySecondWide) {
  size_t last = 0;
  for (uint64_t ns = 0; ns < 100'000'000; ns += 1 + ns / 50) {
    const size_t bucket = LatencyCounts::BucketOf(ns);
    EXPECT_GE(bucket, last);
    last = bucket;
    EXPECT_NEAR(LatencyCounts::MiddleOf(bucket), static_cast<double>(ns),
                static_cast<double>(ns) / 32);
  }
  EXPECT_LT(LatencyCounts::BucketOf(UINT64_MAX), LatencyCounts::kBuckets);
}

TEST(Latency, PercentilesAreThoseOfASortedList) {
  LatencyRecorder recorder;
  EXPECT_EQ(recorder.Read().Microseconds(0.5), 0);
  for (uint64_t us = 1; us <= 1000; ++us) recorder.Record(us * 1000);
  const LatencyCounts counts = recorder.Read();
  EXPECT_EQ(counts.total(), 1000u);
  EXPECT_NEAR(counts.Microseconds(0.5), 500, 500 / 32.0);
  EXPECT_NEAR(counts.Microseconds(0.99), 990, 990 / 32.0);
  EXPECT_NEAR(counts.Microseconds(0.999), 999, 999 / 32.0);
  EXPECT_NEAR(counts.Microseconds(1), 1000, 1000 / 32.0);
}

TEST(Latency, SinceLeavesOutWhatWasCountedBefore) {
  LatencyRecorder recorder;
  recorder.Record(1'000'000);
  const LatencyCounts before = recorder.Read();
  recorder.Record(5000);
  const LatencyCounts between = recorder.Read().Since(before);
  EXPECT_EQ(between.total(), 1u);
  EXPECT_NEAR(between.Microseconds(1), 5, 5 / 32.0);
}

// Inserters only ever add one to both numbers inside the gate, so a thread that holds it closed
// must see them equal and at rest; a gate that lets one through is caught as a difference or as a
// data race.
TEST(Gate, ClosedGateMeansThatNobodyIsInside) {
  constexpr int kThreads = 3, kRounds = 2000;
  Gate gate;
  std::atomic<int> entered = 0, left = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        gate.Enter();
        ++entered;
        ++left;
        gate.Leave();
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    gate.Close();
    EXPECT_EQ(entered.load(), left.load());
    gate.Open();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(left.load(), kThreads * kRounds);
}

TEST(MakeQuery, KnowsPackagesByNameAndTakesTheRestAsText) {
  const auto packages = Sample();
  const Vectorizer vectorizer(packages);
  for (const char* text : {"git", "packages like git"}) {
    const auto query = MakeQuery(text, packages, vectorizer);
    ASSERT_TRUE(query) << query.error().message;
    EXPECT_EQ(query->package, 2u);
    EXPECT_EQ(query->title, "packages like git");
    EXPECT_EQ(query->vector, VectorOf(vectorizer, packages[2]));
  }
  const auto text = MakeQuery("revision control", packages, vectorizer);
  ASSERT_TRUE(text);
  EXPECT_FALSE(text->package);
  EXPECT_EQ(text->vector, VectorOf(vectorizer, "revision control"));
}

TEST(MakeQuery, SaysWhatItExpected) {
  const auto packages = Sample();
  const Vectorizer vectorizer(packages);
  const auto unknown = MakeQuery("packages like nosuch", packages, vectorizer);
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("found \"nosuch\""));
  const auto wordless = MakeQuery("?!", packages, vectorizer);
  ASSERT_FALSE(wordless);
  EXPECT_THAT(wordless.error().message, HasSubstr("expected words"));
}

TEST(SampleQueries, AreTheSameEveryTimeAndNeverZero) {
  const auto packages = Sample();
  const Vectorizer vectorizer(packages);
  const auto queries = SampleQueries(packages, vectorizer, 64);
  EXPECT_EQ(queries, SampleQueries(packages, vectorizer, 64));
  std::set<std::vector<float>> distinct;
  for (size_t i = 0; i < 64; ++i) {
    const auto begin = queries.begin() + static_cast<ptrdiff_t>(i * kVectorDim);
    const std::vector<float> query(begin, begin + kVectorDim);
    EXPECT_NEAR(Dot(query, query), 1, 1e-5);
    distinct.insert(query);
  }
  EXPECT_GT(distinct.size(), packages.size());  // Packages, and texts beside them.
}

TEST(Screen, NumbersAreGroupedByThousands) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(63666), "63,666");
  EXPECT_EQ(Grouped(1000000), "1,000,000");
}

TEST(Screen, CutsCountCharactersAndNeverSplitOne) {
  EXPECT_EQ(CutTo("abc", 3), "abc");
  EXPECT_EQ(CutTo("abcd", 3), "ab…");
  EXPECT_EQ(CutTo("ééé", 3), "ééé");
  EXPECT_EQ(CutTo("éééé", 3), "éé…");
  EXPECT_EQ(CutTo("abc", 0), "");
  EXPECT_EQ(FitTo("é", 3), "é  ");
}

TEST(Screen, NoLineOfAnAnswerIsWiderThanTheTerminal) {
  const std::string longer(200, 'x');
  const std::vector<AnswerRow> rows = {{0.25f, "short", longer}, {1.5f, longer, "text"}};
  const std::string table = AnswerTable(longer, rows, {.terminal = false, .width = 60});
  size_t lines = 0;
  for (size_t begin = 0; begin < table.size(); ++lines) {
    const size_t end = table.find('\n', begin);
    EXPECT_EQ(FitTo(table.substr(begin, end - begin), 60).substr(0, end - begin),
              table.substr(begin, end - begin));
    begin = end + 1;
  }
  EXPECT_EQ(lines, 3u);
  EXPECT_THAT(table, HasSubstr("0.250  short"));
  EXPECT_THAT(table, Not(HasSubstr("\x1b")));
}

TEST(Screen, ProgressSaysEverythingOnOneLineWithoutATerminal) {
  Progress progress;
  progress.seconds = 12.34;
  progress.inserted = 500;
  progress.total = 1000;
  progress.p999 = 1234;
  const std::string before = ProgressLine(progress);
  EXPECT_THAT(before, HasSubstr("500/1000 inserted"));
  EXPECT_THAT(before, HasSubstr("p99.9 1234 us"));
  EXPECT_THAT(before, HasSubstr("recall@10 -"));
  progress.recall = 0.9876;
  EXPECT_THAT(ProgressLine(progress), HasSubstr("recall@10 0.988"));
}

}  // namespace
}  // namespace package_search
