#include "shoal/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "shoal/index.h"

namespace shoal {
namespace {

using Hits = Result<std::vector<Hit>>;

static_assert(std::is_same_v<decltype(*std::declval<Hits>()), std::vector<Hit>>);
static_assert(std::is_same_v<decltype(std::declval<Hits>().value()), std::vector<Hit>>);
static_assert(std::is_same_v<decltype(std::declval<Hits>().error()), Error>);
static_assert(std::is_same_v<decltype(std::declval<Status>().error()), Error>);
static_assert(std::is_same_v<decltype(*std::declval<Hits&>()), std::vector<Hit>&>);

// A Result costs what it is made of: Search returns one per query.
static_assert(sizeof(Result<size_t>) == sizeof(tl::expected<size_t, Error>));
static_assert(std::is_nothrow_move_constructible_v<Result<size_t>>);
static_assert(std::is_nothrow_move_constructible_v<Hits>);

Result<std::vector<int>> Three() { return std::vector<int>{1, 2, 3}; }
Result<std::unique_ptr<int>> Owner() { return std::make_unique<int>(7); }
Result<int> Refused() { return MakeError(ErrorCode::kNotFound, std::string(100, 'x')); }

// Under AddressSanitizer a loop over freed memory ends the program.
TEST(TemporaryResult, KeepsItsValueAliveForALoopOverIt) {
  int sum = 0;
  for (const int i : *Three()) sum += i;
  for (const int i : Three().value()) sum += i;
  EXPECT_EQ(sum, 12);
}

TEST(TemporaryResult, KeepsHitsAliveForALoopOverThem) {
  auto index = Index::Create({.dim = 2});
  ASSERT_TRUE(index);
  const std::vector<float> rows = {0, 0, 1, 0, 5, 5};
  for (ExternalId id = 0; id < 3; ++id)
    ASSERT_TRUE(index->Insert(id, std::span(rows).subspan(2 * id, 2)));
  std::vector<ExternalId> ids;
  for (auto& hit : *index->Search(std::span(rows).first(2), {.k = 3})) ids.push_back(hit.id);
  EXPECT_EQ(ids, (std::vector<ExternalId>{0, 1, 2}));
}

TEST(TemporaryResult, GivesItsErrorByValue) {
  const std::string& message = Refused().error().message;
  EXPECT_EQ(message, std::string(100, 'x'));
}

TEST(Result, MovesWhatCannotBeCopied) {
  const std::unique_ptr<int> seven = *Owner();
  EXPECT_EQ(*seven, 7);
  auto named = Owner();
  EXPECT_EQ(*std::move(named).value(), 7);
}

TEST(Result, HandsItsValueOnOrItsError) {
  const auto half = [](int i) -> Result<int> { return i / 2; };
  EXPECT_EQ(*Result<int>(8).and_then(half), 4);
  EXPECT_EQ(Refused().and_then(half).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace shoal
