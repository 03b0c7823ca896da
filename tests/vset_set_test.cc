// Vector sets, one thread at a time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "vset_data.h"

namespace shoal::vset {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;
using testing::SizeIs;

TEST(VectorSet, AnElementIsFoundByTheNextSearchAndGoneAfterItsRemoval) {
  auto set = NewSet({.dim = 2});
  EXPECT_EQ(AddTo(*set, "a", {1, 0}), AddOutcome::kAdded);
  EXPECT_EQ(AddTo(*set, "b", {0, 1}), AddOutcome::kAdded);
  EXPECT_THAT(NamesOf(SearchIn(*set, {1, 0.1f})), ElementsAre("a", "b"));
  EXPECT_EQ(AddTo(*set, "a", {-1, 0}), AddOutcome::kUpdated);
  EXPECT_THAT(NamesOf(SearchIn(*set, {1, 0.1f})), ElementsAre("b", "a"));
  EXPECT_TRUE(set->Remove("b"));
  EXPECT_FALSE(set->Remove("b"));
  EXPECT_THAT(NamesOf(SearchIn(*set, {1, 0.1f})), ElementsAre("a"));
  EXPECT_TRUE(set->Remove("a"));
  EXPECT_EQ(set->size(), 0u);
  EXPECT_THAT(SearchIn(*set, {1, 0}), IsEmpty());
}

TEST(VectorSet, NamesAreAnyBytes) {
  auto set = NewSet({.dim = 1});
  const std::vector<std::string> names = {
      "", std::string("\0", 1), std::string("\0\0", 2), "a", "\xff", std::string(100000, 'x')};
  for (const std::string& name : names) AddTo(*set, name, {1});
  EXPECT_EQ(set->size(), names.size());
  for (const std::string& name : names) EXPECT_TRUE(set->Contains(name));
  EXPECT_FALSE(set->Contains("b"));
  EXPECT_THAT(set->Range({}, {}), ElementsAre("", std::string("\0", 1), std::string("\0\0", 2), "a",
                                              std::string(100000, 'x'), "\xff"));
}

TEST(VectorSet, AnUpdateKeepsTheAttributeUnlessOneIsGiven) {
  auto set = NewSet({.dim = 1});
  AddTo(*set, "a", {1}, "{}");
  EXPECT_EQ(set->Info().attributes, 1u);
  AddTo(*set, "a", {2});
  EXPECT_THAT(set->Attribute("a"), Optional(Eq("{}")));
  AddTo(*set, "a", {2}, "[1]");
  EXPECT_THAT(set->Attribute("a"), Optional(Eq("[1]")));
  AddTo(*set, "a", {2}, "");
  EXPECT_THAT(set->Attribute("a"), Optional(Eq("")));
  EXPECT_EQ(set->Info().attributes, 0u);
  EXPECT_EQ(set->Info().added, 4u);
  EXPECT_TRUE(*set->SetAttribute("a", "x"));
  EXPECT_EQ(set->Info().attributes, 1u);
  EXPECT_FALSE(*set->SetAttribute("b", "x"));
  EXPECT_EQ(set->Attribute("b"), std::nullopt);
  EXPECT_THAT(SearchIn(*set, {1})[0].attribute, "x");
  EXPECT_TRUE(set->Remove("a"));
  EXPECT_EQ(set->Info().attributes, 0u);
}

TEST(VectorSet, RefusesWhatIsOutOfRange) {
  const auto error = [](const VectorSetOptions& options) {
    return VectorSet::Create(options).error().message;
  };
  EXPECT_THAT(error({.encoding = {.dim = 0}}), HasSubstr("dim"));
  EXPECT_THAT(error({.encoding = {.dim = 1}, .links = 3}), HasSubstr("links"));
  EXPECT_THAT(error({.encoding = {.dim = 1}, .links = 4097}), HasSubstr("links"));
  EXPECT_THAT(error({.encoding = {.dim = 1}, .build_ef = 0}), HasSubstr("build_ef"));
  auto set = NewSet({.dim = 2});
  EXPECT_FALSE(set->Add("a", EncodedVector{.bytes = std::vector<std::byte>(3)}));
  EXPECT_FALSE(set->Search(EncodedVector{.bytes = std::vector<std::byte>(3)}, {}));
  const EncodedVector query = Encoded(*set, {1, 1});
  EXPECT_FALSE(set->Search(query, {.count = 0}));
  EXPECT_FALSE(set->Search(query, {.ef = 0}));
}

TEST(VectorSet, EpsilonCutsAtHalfOfOneMinusCosine) {
  auto set = NewSet({.dim = 2, .quantization = Quantization::kFloat32});
  const double pi = std::acos(-1.0);
  for (const int degrees : {0, 30, 90, 150, 180}) {
    const double angle = degrees * pi / 180;
    AddTo(*set, std::to_string(degrees),
          {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))});
  }
  const std::map<double, size_t> found_within = {{1e-6, 1}, {0.06, 1}, {0.07, 2},
                                                 {0.49, 2}, {0.51, 3}, {0.93, 3},
                                                 {0.94, 4}, {1.0, 5},  {2.0, 5}};
  for (const auto& [epsilon, found] : found_within)
    EXPECT_THAT(SearchIn(*set, {1, 0}, {.epsilon = epsilon}), SizeIs(found)) << epsilon;
  const auto hits = SearchIn(*set, {1, 0});
  for (const Found& hit : hits)
    EXPECT_NEAR(hit.score, (1 + std::cos(std::stoi(hit.name) * pi / 180)) / 2, 1e-6);
}

TEST(VectorSet, TiesAreInByteOrderOfNames) {
  auto set = NewSet({.dim = 2});
  for (const char* name : {"c", "a", "d", "b"}) AddTo(*set, name, {1, 1});
  EXPECT_THAT(NamesOf(SearchIn(*set, {1, 1}, {.count = 3})), ElementsAre("a", "b", "c"));
}

TEST(VectorSet, RangesPageInByteOrder) {
  auto set = NewSet({.dim = 1});
  std::set<std::string> names;
  for (uint32_t i = 0; i < 3000; ++i) {
    const std::string name = std::to_string(i * 7919 % 5000);
    AddTo(*set, name, {0});  // No graph.
    names.insert(name);
    if (i % 3 == 0) {
      const std::string other = std::to_string(i);
      EXPECT_EQ(set->Remove(other), names.erase(other) == 1);
    }
  }
  std::vector<std::string> paged;
  NameBound from;
  for (;;) {
    const auto page = set->Range(from, {}, 100);
    if (page.empty()) break;
    paged.insert(paged.end(), page.begin(), page.end());
    from = {NameBound::Kind::kExclusive, paged.back()};
  }
  EXPECT_EQ(paged, std::vector<std::string>(names.begin(), names.end()));
}

TEST(VectorSet, RangesHaveEndsOfEachKind) {
  auto set = NewSet({.dim = 1});
  for (const char* name : {"a", "b", "c", "d"}) AddTo(*set, name, {1});
  using Kind = NameBound::Kind;
  const auto range = [&](NameBound first, NameBound last, size_t limit = SIZE_MAX) {
    return set->Range(first, last, limit);
  };
  EXPECT_THAT(range({Kind::kInclusive, "b"}, {Kind::kInclusive, "c"}), ElementsAre("b", "c"));
  EXPECT_THAT(range({Kind::kExclusive, "b"}, {Kind::kInclusive, "d"}), ElementsAre("c", "d"));
  EXPECT_THAT(range({Kind::kInclusive, "b"}, {Kind::kExclusive, "d"}), ElementsAre("b", "c"));
  EXPECT_THAT(range({Kind::kExclusive, "bb"}, {}), ElementsAre("c", "d"));
  EXPECT_THAT(range({}, {Kind::kExclusive, "bb"}), ElementsAre("a", "b"));
  EXPECT_THAT(range({}, {}, 2), ElementsAre("a", "b"));
  EXPECT_THAT(range({}, {}, 0), IsEmpty());
  EXPECT_THAT(range({Kind::kInclusive, "c"}, {Kind::kInclusive, "b"}), IsEmpty());
}

TEST(VectorSet, RandomMembersAreDifferentUnlessTheyMayRepeat) {
  auto set = NewSet({.dim = 1});
  using Repeats = VectorSet::Repeats;
  EXPECT_THAT(set->RandomMembers(5, Repeats::kYes, 1), IsEmpty());
  for (int i = 0; i < 1000; ++i) AddTo(*set, std::to_string(i), {1});
  for (const size_t count : {1u, 10u, 300u, 1000u, 2000u}) {
    const auto names = set->RandomMembers(count, Repeats::kNo, count);
    EXPECT_THAT(names, SizeIs(std::min<size_t>(count, 1000)));
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
    EXPECT_EQ(names, set->RandomMembers(count, Repeats::kNo, count));
    EXPECT_THAT(set->RandomMembers(count, Repeats::kYes, 1), SizeIs(count));
  }
  for (int i = 2; i < 1000; ++i) EXPECT_TRUE(set->Remove(std::to_string(i)));
  const auto two = set->RandomMembers(100, Repeats::kYes, 3);
  EXPECT_THAT(two, testing::Contains("0"));
  EXPECT_THAT(two, testing::Contains("1"));
}

TEST(VectorSet, TheZeroVectorScoresOneHalfAgainstEverything) {
  for (const uint32_t n : {5u, 1000u}) {
    auto set = ClusteredSet({.dim = 8}, n);
    AddTo(*set, "zero", std::vector<float>(8));
    EXPECT_EQ(set->Link(n), 0u);
    const auto all = SearchIn(*set, ClusteredVector(8, 1), {.count = n + 1, .ef = n + 1});
    const auto zero = std::ranges::find(all, "zero", &Found::name);
    ASSERT_NE(zero, all.end());
    EXPECT_EQ(zero->score, 0.5);
    for (const Found& hit : SearchIn(*set, std::vector<float>(8))) EXPECT_EQ(hit.score, 0.5);
    AddTo(*set, "zero", ClusteredVector(8, 1));
    EXPECT_THAT(SearchIn(*set, ClusteredVector(8, 1), {.count = 2}),
                testing::Contains(testing::Field(&Found::name, "zero")));
    AddTo(*set, "1", std::vector<float>(8));
    EXPECT_TRUE(set->Remove("1"));
  }
}

TEST(VectorSet, DimensionsBeyondTheGraphsAreComparedExactly) {
  auto set = NewSet({.dim = kMaxVectorDim});
  for (uint32_t i = 0; i < kLinkFrom + 2; ++i) {
    std::vector<float> x(kMaxVectorDim);
    x[i] = 1;
    x[i + 1] = 0.1f;
    AddTo(*set, std::to_string(i), x);
  }
  EXPECT_EQ(set->Unlinked(), 0u);
  EXPECT_EQ(set->Link(1000), 0u);
  std::vector<float> query(kMaxVectorDim);
  query[7] = 1;
  EXPECT_THAT(NamesOf(SearchIn(*set, query, {.count = 2})), ElementsAre("7", "6"));
  EXPECT_TRUE(set->Remove("7"));
  EXPECT_THAT(NamesOf(SearchIn(*set, query, {.count = 1})), ElementsAre("6"));
}

double RecallOf(const VectorSet& set, uint32_t queries, SearchRequest request) {
  size_t common = 0;
  size_t wanted = 0;
  for (uint32_t i = 0; i < queries; ++i) {
    const auto query = ClusteredVector(set.encoding().input_dim(), 1000000 + i);
    request.scan = SearchRequest::Scan::kGraph;
    const auto found = SearchIn(set, query, request);
    request.scan = SearchRequest::Scan::kExact;
    const auto truth = SearchIn(set, query, request);
    EXPECT_TRUE(std::ranges::is_sorted(found, std::greater{}, &Found::score));
    wanted += truth.size();
    // Ties count, and the tail's scores and the graph's differ in their last bits.
    for (const Found& hit : found) common += hit.score >= truth.back().score - 1e-6 ? 1 : 0;
  }
  return static_cast<double>(common) / static_cast<double>(wanted);
}

TEST(VectorSet, FindsTheNearestOfLinkedAndUnlinkedElements) {
  for (const Quantization quantization : kQuantizations) {
    auto set = ClusteredSet({.dim = 64, .quantization = quantization}, 2000);
    EXPECT_EQ(set->Unlinked(), 0u);
    EXPECT_EQ(set->Info().graph_points, 2000u);
    EXPECT_GE(RecallOf(*set, 30, {}), 0.97) << QuantizationName(quantization);
    for (uint32_t i = 2000; i < 3000; ++i) AddTo(*set, std::to_string(i), ClusteredVector(64, i));
    EXPECT_EQ(set->Unlinked(), 1000u);
    EXPECT_GE(RecallOf(*set, 30, {}), 0.97) << QuantizationName(quantization);
  }
}

TEST(VectorSet, FindsTheNearestAfterUpdatesAndRemovals) {
  auto set = ClusteredSet({.dim = 32}, 1200);
  for (uint32_t i = 0; i < 600; ++i) {
    EXPECT_TRUE(set->Remove(std::to_string(i)));
    AddTo(*set, std::to_string(600 + i), ClusteredVector(32, 5000 + i));
  }
  EXPECT_TRUE(set->NeedsMaintenance());
  EXPECT_GE(RecallOf(*set, 50, {}), 0.97);
  EXPECT_TRUE(set->Link(5000));
  EXPECT_TRUE(set->Maintain());
  EXPECT_FALSE(set->NeedsMaintenance());
  EXPECT_GE(RecallOf(*set, 50, {}), 0.97);
  EXPECT_EQ(set->Info().graph_points, 600u);
  for (const Found& hit : SearchIn(*set, ClusteredVector(32, 1), {.count = 2000, .ef = 2000}))
    EXPECT_GE(std::stoi(hit.name), 600);
}

TEST(VectorSet, GivesMemoryBackWhenMostElementsAreRemoved) {
  auto set = ClusteredSet({.dim = 32}, 6000);
  const uint64_t full = set->Memory().graph.total();
  for (uint32_t i = 0; i < 6000; ++i) {
    if (i % 10 == 0) continue;
    EXPECT_TRUE(set->Remove(std::to_string(i)));
  }
  EXPECT_TRUE(set->NeedsMaintenance());
  EXPECT_TRUE(set->Maintain());
  EXPECT_FALSE(set->NeedsMaintenance());
  EXPECT_LT(set->Memory().graph.total(), full / 3);
  EXPECT_EQ(set->Info().graph_points, 600u);
  EXPECT_GE(RecallOf(*set, 50, {}), 0.97);
}

TEST(VectorSet, SaysThatItsTailIsFullUntilSomeAreLinked) {
  auto set = NewSet({.dim = 4});
  for (uint32_t i = 0; i < 2000; ++i) {
    AddTo(*set, std::to_string(i), ClusteredVector(4, i));
    EXPECT_EQ(set->TailIsFull(), i >= kMaxTail);
  }
  EXPECT_EQ(set->Unlinked(), 2000u);
  EXPECT_TRUE(set->Link(2000 - kMaxTail));
  EXPECT_FALSE(set->TailIsFull());
  EXPECT_EQ(set->Info().tail + set->Info().graph_points, 2000u);
}

TEST(VectorSet, AFilterFindsWhatMatches) {
  auto set = ClusteredSet({.dim = 32}, 3000);
  for (uint32_t i = 0; i < 200; ++i)  // In the tail.
    AddTo(*set, std::to_string(i), ClusteredVector(32, 7000 + i));
  for (const char* text : {".i < 20", ".i % 100 == 1", ".i % 2 == 0", "not (.i == 3)"}) {
    const auto filter = FilterExpression::Parse(text);
    for (const Found& hit : SearchIn(*set, ClusteredVector(32, 5), {.filter = &*filter}))
      EXPECT_TRUE(filter->Matches(hit.attribute));
    EXPECT_GE(RecallOf(*set, 20, {.filter = &*filter}), 0.97) << text;
  }
  const auto none = FilterExpression::Parse(".other");
  EXPECT_THAT(SearchIn(*set, ClusteredVector(32, 5), {.filter = &*none}), IsEmpty());
}

TEST(VectorSet, FilterEfBoundsHowManyAreJudged) {
  auto set = ClusteredSet({.dim = 32}, 3000);
  const auto filter = FilterExpression::Parse(".i % 50 == 1");
  const auto found = [&](size_t filter_ef) {
    return SearchIn(*set, ClusteredVector(32, 5), {.filter = &*filter, .filter_ef = filter_ef});
  };
  EXPECT_LE(found(50).size(), found(300).size());
  EXPECT_LT(found(50).size(), 10u);
  EXPECT_THAT(found(5000), SizeIs(10));
  EXPECT_EQ(NamesOf(found(5000)), NamesOf(found(0)));
}

TEST(VectorSet, LinksAreTheNearestOthers) {
  for (const uint32_t n : {1u, 100u, 1000u}) {
    auto set = ClusteredSet({.dim = 16}, n);
    const auto links = set->Links("0");
    ASSERT_TRUE(links);
    EXPECT_THAT(*links, SizeIs(std::min(n - 1, kDefaultLinks)));
    EXPECT_THAT(*links, testing::Not(testing::Contains(testing::Field(&Neighbor::name, "0"))));
    EXPECT_FALSE(set->Links("no"));
  }
}

TEST(VectorSet, VectorsStayToTheLastBitWhenTheyAreLinked) {
  for (const Quantization quantization : kQuantizations) {
    auto set = NewSet({.dim = 20, .quantization = quantization});
    for (uint32_t i = 0; i < 500; ++i) AddTo(*set, std::to_string(i), ClusteredVector(20, i));
    const auto before = DigestsOf(*set);
    EXPECT_EQ(set->Link(500), 500u);
    EXPECT_EQ(DigestsOf(*set), before);
    const auto vector = set->Vector("77");
    ASSERT_TRUE(vector);
    EXPECT_EQ(vector->bytes, Encoded(*set, ClusteredVector(20, 77)).bytes);
    EXPECT_FALSE(set->Vector("x"));
  }
}

TEST(VectorSet, DigestsTellNamesVectorsAndAttributesApart) {
  const auto digest = [](const std::string& name, float x, const std::string& attribute) {
    auto set = NewSet({.dim = 2});
    AddTo(*set, name, {x, 1}, attribute);
    return DigestsOf(*set);
  };
  EXPECT_EQ(digest("a", 1, "b"), digest("a", 1, "b"));
  EXPECT_NE(digest("a", 1, "b"), digest("ab", 1, ""));
  EXPECT_NE(digest("a", 1, "b"), digest("a", 2, "b"));
  EXPECT_NE(digest("a", 1, "b"), digest("a", 1, "c"));
}

TEST(VectorSet, MemoryGrowsWithElementsAndAttributesAndComesBack) {
  auto set = NewSet({.dim = 100});
  EXPECT_LT(set->Memory().total(), 20000u);
  for (uint32_t i = 0; i < 200; ++i) AddTo(*set, std::to_string(i), ClusteredVector(100, i));
  const uint64_t added = set->Memory().total();
  EXPECT_GT(added, 200 * 100u);
  EXPECT_LT(added, 200 * 400u);
  EXPECT_TRUE(*set->SetAttribute("0", std::string(50000, 'x')));
  EXPECT_GE(set->Memory().total(), added + 50000);
  EXPECT_TRUE(*set->SetAttribute("0", ""));
  EXPECT_LE(set->Memory().total(), added + 1000);
  for (uint32_t i = 0; i < 200; ++i) EXPECT_TRUE(set->Remove(std::to_string(i)));
  EXPECT_LT(set->Memory().total(), 20000u);
}

TEST(VectorSet, AProjectedSetIsSearchedWithVectorsOfTheInputsDimension) {
  auto set = ClusteredSet({.dim = 80, .input_dim = 100}, 1000);
  EXPECT_EQ(SearchIn(*set, ClusteredVector(100, 7))[0].name, "7");
  EXPECT_FALSE(set->encoding().Encode(std::vector<float>(80, 1)));
}

TEST(VectorSet, TheExtensionsOrderBySquaredDistanceAndByInnerProduct) {
  for (const Similarity similarity : {Similarity::kL2, Similarity::kInnerProduct}) {
    auto set = ClusteredSet(
        {.dim = 16, .quantization = Quantization::kFloat32, .similarity = similarity}, 500);
    const auto query = ClusteredVector(16, 100001);
    const auto found = SearchIn(*set, query, {.ef = 300});
    const auto truth = SearchIn(*set, query, {.scan = SearchRequest::Scan::kExact});
    EXPECT_EQ(NamesOf(found), NamesOf(truth));
    const bool is_l2 = similarity == Similarity::kL2;
    EXPECT_EQ(truth[0].score < truth[9].score, is_l2);
    const auto cut =
        SearchIn(*set, query, {.ef = 300, .epsilon = truth[4].score + (is_l2 ? 1e-3 : -1e-3)});
    EXPECT_GE(cut.size(), 5u);
    EXPECT_LT(cut.size(), 10u);
  }
}

}  // namespace
}  // namespace shoal::vset
