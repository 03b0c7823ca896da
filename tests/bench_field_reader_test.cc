// What is wrong in a JSON file is said in one line: file, path, expected, found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runner/field_reader.h"
#include "runner/json.h"

namespace shoal::bench {
namespace {

using ::testing::HasSubstr;

// The error of reading `text` with `read`; "fine" if there is none.
std::string ErrorOf(const std::string& text, const std::function<void(FieldReader&)>& read) {
  const Expected<Json> json = ParseJson(text, "jobs.json");
  if (!json) return json.error();
  FieldReader reader(*json, "jobs.json: ");
  read(reader);
  const Expected<void> fine = reader.Finish();
  return fine ? "fine" : fine.error();
}

TEST(FieldReaderTest, AFieldOutOfRangeIsNamedWithExpectedAndFound) {
  const auto read = [](FieldReader& r) { r.Unsigned("readers", {.least = 1, .most = 255}); };
  EXPECT_EQ(ErrorOf(R"({"readers": 1})", read), "fine");
  EXPECT_EQ(ErrorOf(R"({"readers": 255})", read), "fine");
  EXPECT_EQ(ErrorOf(R"({"readers": 256})", read),
            "jobs.json: readers: expected an integer in [1, 255], found 256");
  for (const std::string wrong : {"0", "-1", "1.5", "\"1\"", "null", "true", "[1]"})
    EXPECT_EQ(ErrorOf("{\"readers\": " + wrong + "}", read),
              "jobs.json: readers: expected an integer in [1, 255], found " + wrong);
  EXPECT_EQ(ErrorOf("{}", read),
            "jobs.json: readers: expected an integer in [1, 255], found nothing");
}

TEST(FieldReaderTest, SixtyFourBitsOfASeedAreKept) {
  const Json json = *ParseJson(R"({"seed": 18446744073709551615})", "j");
  FieldReader reader(json, "j: ");
  EXPECT_EQ(reader.Unsigned("seed", {}), UINT64_MAX);
}

TEST(FieldReaderTest, PathsLeadIntoObjectsAndLists) {
  const auto read = [](FieldReader& r) {
    r.Objects("jobs", [](FieldReader& job) {
      job.Object("content", [](FieldReader& content) { content.Number("alpha", {1, 2}, 1.2); });
    });
  };
  EXPECT_EQ(ErrorOf(R"({"jobs": [{"content": {}}, {"content": {"alpha": 1.5}}]})", read), "fine");
  EXPECT_EQ(ErrorOf(R"({"jobs": [{"content": {}}, {"content": {"alpha": 3}}]})", read),
            "jobs.json: jobs[1].content.alpha: expected a number in [1, 2], found 3");
  EXPECT_EQ(ErrorOf(R"({"jobs": [{"content": 7}]})", read),
            "jobs.json: jobs[0].content: expected an object, found 7");
  EXPECT_EQ(ErrorOf(R"({"jobs": []})", read),
            "jobs.json: jobs: expected a list of objects, one or more, found []");
  EXPECT_EQ(ErrorOf("[]", read), "jobs.json: expected an object, found []");
}

TEST(FieldReaderTest, AnUnknownKeyIsAMistakeWhereverItStands) {
  const auto read = [](FieldReader& r) {
    r.Flag("fast", false);
    r.Object("data", [](FieldReader& data) { data.Text("base", "x"); });
  };
  EXPECT_EQ(ErrorOf(R"({"fats": true, "data": {}})", read),
            "jobs.json: fats: expected one of data, fast, found an unknown key");
  EXPECT_EQ(ErrorOf(R"({"data": {"bsae": "y"}})", read),
            "jobs.json: data.bsae: expected one of base, found an unknown key");
}

TEST(FieldReaderTest, AKeyThatStandsTwiceIsAMistake) {
  const auto read = [](FieldReader& r) { r.Unsigned("k", {}); };
  EXPECT_THAT(ErrorOf(R"({"k": 1, "k": 2})", read), HasSubstr("found \"k\" twice"));
  EXPECT_THAT(ErrorOf(R"([{"k": 1}, {"k": 2}])", [](FieldReader&) {}),
              HasSubstr("expected an object"));
}

TEST(FieldReaderTest, WhatIsNoJsonIsNamedWithItsPlace) {
  EXPECT_EQ(ErrorOf("{\n  \"k\": oops\n}", [](FieldReader&) {}),
            "jobs.json: line 2, column 8: expected JSON, found something else");
  EXPECT_THAT(ErrorOf("", [](FieldReader&) {}), HasSubstr("line 1, column 1"));
}

TEST(FieldReaderTest, TheFirstMistakeIsTheOneThatCounts) {
  const auto read = [](FieldReader& r) {
    r.Unsigned("a", {1, 2});
    r.Unsigned("b", {1, 2});
    r.Fail("c", "this", "that");
  };
  EXPECT_THAT(ErrorOf(R"({"a": 3, "b": 4, "d": 5})", read), HasSubstr("jobs.json: a:"));
}

TEST(FieldReaderTest, WordsAndListsAreCheckedOneByOne) {
  const auto read = [](FieldReader& r) {
    r.OneOf("metric", {"l2", "cosine"}, "l2");
    r.UnsignedList("lists", {.least = 1, .most = 9}, {{5}});
    r.TextList("names", {{}});
  };
  EXPECT_EQ(ErrorOf(R"({"metric": "cosine", "lists": [1, 9], "names": ["a"]})", read), "fine");
  EXPECT_EQ(ErrorOf(R"({"metric": "L2"})", read),
            "jobs.json: metric: expected one of l2, cosine, found \"L2\"");
  EXPECT_THAT(ErrorOf(R"({"lists": [1, 10]})", read), HasSubstr("lists: expected a list of"));
  EXPECT_THAT(ErrorOf(R"({"lists": []})", read), HasSubstr("lists: expected a list of"));
  EXPECT_THAT(ErrorOf(R"({"names": ["a", ""]})", read), HasSubstr("names: expected a list of"));
}

TEST(FieldReaderTest, WhatWasUnderstoodHasTheDefaultsFilledIn) {
  const Json json = *ParseJson(R"({"b": {"x": 1}})", "j");
  FieldReader reader(json, "j: ");
  reader.Unsigned("a", {}, 7);
  reader.Object("b", [](FieldReader& b) {
    b.Unsigned("x", {});
    b.Text("y", "z");
  });
  ASSERT_TRUE(reader.Finish());
  EXPECT_EQ(reader.understood(), *ParseJson(R"({"a": 7, "b": {"x": 1, "y": "z"}})", "j"));
}

TEST(FieldReaderTest, AMissingFileIsNamedWithWhereItWasSought) {
  const FindInput find = [](std::string_view name) -> Expected<std::filesystem::path> {
    if (name == "there") return std::filesystem::path("folder/there");
    return tl::unexpected(std::string("expected a file in \"folder\", found no \"gone\""));
  };
  EXPECT_EQ(ErrorOf(R"({"base": "gone"})", [&](FieldReader& r) { r.InputFile("base", find); }),
            "jobs.json: base: expected a file in \"folder\", found no \"gone\"");
  EXPECT_EQ(ErrorOf(R"({"base": "there"})",
                    [&](FieldReader& r) {
                      EXPECT_EQ(r.InputFile("base", find), "folder/there");
                      EXPECT_EQ(r.understood()["base"], "there");
                    }),
            "fine");
  EXPECT_EQ(ErrorOf("{}", [&](FieldReader& r) { EXPECT_EQ(r.InputFile("base", find, ""), ""); }),
            "fine");
}

}  // namespace
}  // namespace shoal::bench
