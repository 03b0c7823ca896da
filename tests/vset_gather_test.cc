// Messages of a gathered search, and what is made of answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>
#include <string>

#include "bindings/valkey/core/gather.h"

namespace shoal::vset {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

GatherRequest Request() {
  return {.id = 7,
          .name = "plants",
          .partitions = 16,
          .query = {1, -2.5f, 0},
          .count = 20,
          .ef = 300,
          .epsilon = 0.5,
          .filter = ".year > 1990 and 'a' in .tags",
          .filter_ef = 500,
          .exact = true,
          .with_attributes = true};
}

GatherVector Int8Vector() {
  return {
      .encoding = {.dim = 3, .input_dim = 5},
      .vector = {.bytes = {std::byte{1}, std::byte{127}, std::byte{200}}, .norm = 2, .range = 0.5}};
}

GatherRequest RequestOfAnElement() {
  GatherRequest request = Request();
  request.query.clear();
  request.encoded = Int8Vector();
  return request;
}

ElementRequest AskElement() {
  return {.id = 9, .partitions = 16, .name = "plants", .element = "oak"};
}

ElementAnswer ElementFound() { return {.id = 9, .vector = Int8Vector()}; }

GatherAnswer Answer() {
  return {.id = 7,
          .partitions = 16,
          .similarity = Similarity::kL2,
          .problem = "partly",
          .entries = {{2, ""}, {5, "another dimension"}, {15, ""}},
          .hits = {{2, 0.25, "a", "{}"}, {15, 0.5, std::string("b\0c", 3), ""}, {2, 0.75, "", ""}}};
}

TEST(PartitionTags, AreDifferentAndSpreadOverTheSlots) {
  EXPECT_THAT(PartitionTags(4), ElementsAre("3", "2", "1", "0"));
  for (const uint32_t partitions : {1u, 3u, 16u, 1000u, kMaxPartitions}) {
    const std::vector<std::string> tags = PartitionTags(partitions);
    EXPECT_EQ(std::set<std::string>(tags.begin(), tags.end()).size(), partitions);
  }
  EXPECT_EQ(PartitionTags(16)[2], "61");
  EXPECT_EQ(PartitionKey("plants", "61"), "plants:{61}");
}

TEST(PartitionOfElement, IsThatOfItsCrc32) {
  EXPECT_EQ(PartitionOf("123456789", 0xffffffff), 0xcbf43926);  // The polynomial's check value.
  EXPECT_EQ(PartitionOf("", 1024), 0u);
  EXPECT_EQ(PartitionOf("apple", 16), 0u);
}

TEST(PartitionedName, HasNoBraces) {
  EXPECT_TRUE(IsPartitionedName("a:b"));
  for (const char* name : {"", "a{b", "}"}) EXPECT_FALSE(IsPartitionedName(name));
}

TEST(GatherMessage, IsParsedToWhatWasEncoded) {
  const std::string request = Encode(Request());
  const auto parsed = ParseRequest(Bytes(request));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(Encode(*parsed), request);
  EXPECT_EQ(parsed->name, "plants");
  EXPECT_EQ(parsed->query, Request().query);
  EXPECT_EQ(parsed->filter, Request().filter);
  const std::string answer = Encode(Answer());
  const auto answered = ParseAnswer(Bytes(answer));
  ASSERT_TRUE(answered) << answered.error().message;
  EXPECT_EQ(Encode(*answered), answer);
  EXPECT_EQ(answered->hits[1].name.size(), 3u);
}

TEST(GatherMessage, OfAnElementsVectorIsParsedToWhatWasEncoded) {
  const std::string request = Encode(RequestOfAnElement());
  const auto parsed = ParseRequest(Bytes(request));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(Encode(*parsed), request);
  EXPECT_TRUE(parsed->query.empty());
  ASSERT_TRUE(parsed->encoded);
  EXPECT_EQ(parsed->encoded->encoding, Int8Vector().encoding);
  EXPECT_EQ(parsed->encoded->vector.bytes, Int8Vector().vector.bytes);
  EXPECT_EQ(parsed->encoded->vector.norm, 2);
  EXPECT_EQ(parsed->encoded->vector.range, 0.5);
  const std::string asked = Encode(AskElement());
  const auto element = ParseElementRequest(Bytes(asked));
  ASSERT_TRUE(element) << element.error().message;
  EXPECT_EQ(Encode(*element), asked);
  EXPECT_EQ(element->element, "oak");
  for (const ElementAnswer& one : {ElementFound(), ElementAnswer{.id = 9}}) {
    const std::string answer = Encode(one);
    const auto answered = ParseElementAnswer(Bytes(answer));
    ASSERT_TRUE(answered) << answered.error().message;
    EXPECT_EQ(Encode(*answered), answer);
    EXPECT_EQ(answered->vector.has_value(), one.vector.has_value());
  }
}

TEST(GatherMessage, CutAnywhereOrWithMoreBehindIsRefused) {
  const auto expect_refused = [](const std::string& message) {
    EXPECT_FALSE(ParseRequest(Bytes(message)));
    EXPECT_FALSE(ParseAnswer(Bytes(message)));
    EXPECT_FALSE(ParseElementRequest(Bytes(message)));
    EXPECT_FALSE(ParseElementAnswer(Bytes(message)));
  };
  for (const std::string& whole :
       {Encode(Request()), Encode(Answer()), Encode(RequestOfAnElement()), Encode(AskElement()),
        Encode(ElementFound())}) {
    for (size_t n = 0; n < whole.size(); ++n) expect_refused(whole.substr(0, n));
    expect_refused(whole + '\0');
  }
}

TEST(GatherMessage, OutOfRangeIsRefusedByItsField) {
  const auto error = [](const auto& change) {
    GatherRequest request = Request();
    change(request);
    const std::string message = Encode(request);
    const auto parsed = ParseRequest(Bytes(message));
    return parsed ? "" : parsed.error().message;
  };
  EXPECT_THAT(error([](auto& r) { r.partitions = 0; }), HasSubstr("partitions"));
  EXPECT_THAT(error([](auto& r) { r.partitions = kMaxPartitions + 1; }), HasSubstr("partitions"));
  EXPECT_THAT(error([](auto& r) { r.query.clear(); }), HasSubstr("dim"));
  EXPECT_THAT(error([](auto& r) { r.query[1] = NAN; }), HasSubstr("query"));
  EXPECT_THAT(error([](auto& r) { r.query.resize(kMaxVectorDim + 1); }), HasSubstr("dim"));
  EXPECT_THAT(error([](auto& r) { r.count = kMaxGatherCount + 1; }), HasSubstr("count"));
  EXPECT_THAT(error([](auto& r) { r.ef = 0; }), HasSubstr("ef"));
  EXPECT_THAT(error([](auto& r) { r.epsilon = INFINITY; }), HasSubstr("epsilon"));
  EXPECT_THAT(error([](auto& r) { r.filter = ".a >"; }), HasSubstr("filter"));
  EXPECT_THAT(error([](auto& r) { r.filter_ef = 0; }), HasSubstr("filter_ef"));
  EXPECT_THAT(error([](auto& r) { r.name = "a{1}"; }), HasSubstr("name"));
  const auto vector_error = [](const auto& change) {
    GatherRequest request = RequestOfAnElement();
    change(*request.encoded);
    const std::string message = Encode(request);
    const auto parsed = ParseRequest(Bytes(message));
    return parsed ? "" : parsed.error().message;
  };
  EXPECT_THAT(vector_error([](auto& v) { v.encoding.dim = 0; }), HasSubstr("dim"));
  EXPECT_THAT(vector_error([](auto& v) { v.encoding.dim = kMaxVectorDim + 1; }), HasSubstr("dim"));
  EXPECT_THAT(vector_error([](auto& v) { v.encoding.input_dim = 2; }), HasSubstr("dim"));
  EXPECT_THAT(vector_error([](auto& v) { v.encoding.quantization = static_cast<Quantization>(3); }),
              HasSubstr("quantization"));
  EXPECT_THAT(vector_error([](auto& v) { v.encoding.similarity = static_cast<Similarity>(3); }),
              HasSubstr("similarity"));
  EXPECT_THAT(vector_error([](auto& v) { v.vector.norm = NAN; }), HasSubstr("finite"));
  EXPECT_THAT(error([](auto& r) { r.encoded = Int8Vector(); }), HasSubstr("dim"));
  const auto answer_error = [](const auto& change) {
    GatherAnswer answer = Answer();
    change(answer);
    const std::string message = Encode(answer);
    const auto parsed = ParseAnswer(Bytes(message));
    return parsed ? "" : parsed.error().message;
  };
  EXPECT_THAT(answer_error([](auto& a) { a.entries[2].partition = 16; }), HasSubstr("entries"));
  EXPECT_THAT(answer_error([](auto& a) { a.entries[1].partition = 2; }), HasSubstr("entries"));
  EXPECT_THAT(answer_error([](auto& a) { a.hits[0].partition = 5; }), HasSubstr("searched"));
  EXPECT_THAT(answer_error([](auto& a) { a.hits[0].partition = 3; }), HasSubstr("searched"));
  EXPECT_THAT(answer_error([](auto& a) { a.hits[1].score = NAN; }), HasSubstr("score"));
  EXPECT_THAT(answer_error([](auto& a) { a.problem.assign(kMaxProblemBytes + 1, 'x'); }),
              HasSubstr("problem"));
  EXPECT_THAT(answer_error([](auto& a) { a.hits.resize(kMaxGatherCount + 1); }), HasSubstr("hits"));
}

// Some bytes changed, cut out or put in.
std::string Mutated(std::string text, std::mt19937& random) {
  for (uint32_t i = random() % 4; i-- > 0 || text.empty();) {
    const size_t at = text.empty() ? 0 : random() % text.size();
    switch (text.empty() ? 3 : random() % 5) {
      case 0: text[at] = static_cast<char>(text[at] ^ 1 << random() % 8); break;
      case 1: text[at] = static_cast<char>(random()); break;
      case 2: text.erase(at, 1 + random() % 12); break;
      case 3: text.insert(at, std::string(1 + random() % 12, static_cast<char>(random()))); break;
      default: {
        constexpr uint32_t kExtremes[] = {0, 1, 0x7fffffff, 0xffffffff, 0x7f800000};
        const uint32_t extreme = kExtremes[random() % std::size(kExtremes)];
        text.replace(at, 4, reinterpret_cast<const char*>(&extreme), 4);
      }
    }
  }
  return text;
}

TEST(GatherMessage, MutatedIsAnErrorOrAnotherMessage) {
  std::mt19937 random(1);
  const std::string request = Encode(Request());
  const std::string of_element = Encode(RequestOfAnElement());
  const std::string answer = Encode(Answer());
  const std::string ask = Encode(AskElement());
  const std::string found = Encode(ElementFound());
  size_t parsed = 0;
  constexpr size_t kMessages = 20000;
  for (size_t i = 0; i < kMessages; ++i) {
    const std::string asked = Mutated(i % 2 == 0 ? request : of_element, random);
    if (const auto made = ParseRequest(Bytes(asked))) {
      EXPECT_EQ(Encode(*made), asked);
      ++parsed;
    }
    const std::string element = Mutated(ask, random);
    if (const auto made = ParseElementRequest(Bytes(element))) {
      EXPECT_EQ(Encode(*made), element);
    }
    const std::string vector = Mutated(found, random);
    if (const auto made = ParseElementAnswer(Bytes(vector))) {
      EXPECT_EQ(Encode(*made), vector);
    }
    const std::string answered = Mutated(answer, random);
    if (auto made = ParseAnswer(Bytes(answered))) {
      EXPECT_EQ(Encode(*made), answered);
      ++parsed;
      Gathering gathering(16, 2);
      gathering.Take(*std::move(made));
      EXPECT_LE(gathering.hits().size(), 2u);
      EXPECT_GE(gathering.missing("").size(), 13u);
    }
  }
  EXPECT_GT(parsed, kMessages / 10);
  EXPECT_LT(parsed, 2 * kMessages);
}

std::vector<std::string> Names(const Gathering& gathering) {
  std::vector<std::string> names;
  for (const GatherHit& hit : gathering.hits()) names.push_back(hit.name);
  return names;
}

TEST(Gathering, TakesEachPartitionOnceAndKeepsTheNearest) {
  Gathering gathering(3, 3);
  gathering.Take({.partitions = 3,
                  .entries = {{0, ""}, {1, "busy"}},
                  .hits = {{0, 0.9, "a", ""}, {0, 0.5, "b", ""}}});
  EXPECT_FALSE(gathering.is_complete());
  // 0 again, which is left out.
  gathering.Take({.partitions = 3,
                  .entries = {{0, ""}, {2, ""}},
                  .hits = {{0, 0.95, "z", ""}, {2, 0.7, "d", ""}, {2, 0.5, "c", ""}}});
  EXPECT_THAT(Names(gathering), ElementsAre("a", "d", "b"));
  ASSERT_EQ(gathering.missing("late").size(), 1u);
  EXPECT_EQ(gathering.missing("late")[0].partition, 1u);
  EXPECT_EQ(gathering.missing("late")[0].reason, "busy");
  gathering.Take({.partitions = 3, .entries = {{1, ""}}, .hits = {{1, 0.9, "A", ""}}});
  EXPECT_TRUE(gathering.is_complete());
  EXPECT_THAT(Names(gathering), ElementsAre("A", "a", "d"));
}

TEST(Gathering, OrdersBySimilarityAndMixesNone) {
  Gathering gathering(3, 5);
  gathering.Take({.partitions = 3,
                  .similarity = Similarity::kL2,
                  .entries = {{0, ""}},
                  .hits = {{0, 4, "far", ""}, {0, 1, "near", ""}}});
  gathering.Take({.partitions = 3, .entries = {{1, ""}}, .hits = {{1, 0.1, "cosine", ""}}});
  gathering.Take({.partitions = 2, .entries = {{1, ""}}});
  EXPECT_THAT(Names(gathering), ElementsAre("near", "far"));
  ASSERT_EQ(gathering.missing("late").size(), 2u);
  EXPECT_THAT(gathering.missing("late")[0].reason, HasSubstr("metric"));
  EXPECT_EQ(gathering.missing("late")[1].reason, "late");
}

TEST(Gathering, NamesAnElementOnce) {
  Gathering gathering(2, 5);
  gathering.Take({.partitions = 2,
                  .entries = {{0, ""}, {1, ""}},
                  .hits = {{0, 0.5, "a", ""}, {1, 0.5, "a", ""}, {1, 0.4, "a", ""}}});
  EXPECT_THAT(Names(gathering), ElementsAre("a"));
}

}  // namespace
}  // namespace shoal::vset
