// What VSIM and VX.SIM have in common: the options behind the query, and how hits are replied.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/valkey/abi/redis_module.h"
#include "bindings/valkey/core/filter_expression.h"
#include "bindings/valkey/core/vector_set.h"
#include "bindings/valkey/module/arguments.h"

namespace shoal::vset_module {

struct SearchOptions {
  size_t count = vset::kDefaultCount;
  std::optional<size_t> ef = std::nullopt;
  std::optional<double> epsilon = std::nullopt;
  std::optional<vset::Similarity> similarity = std::nullopt;
  std::optional<std::string> filter_text = std::nullopt;
  std::optional<vset::FilterExpression> filter = std::nullopt;  // That text.
  std::optional<size_t> filter_ef = std::nullopt;
  bool exact = false;
  bool with_scores = false;
  bool with_attributes = false;
  bool at_once = false;
};

// Takes the next option, if it is one of these: [WITHSCORES] [WITHATTRIBS] [NOTHREAD] [TRUTH]
// [COUNT n] [EF n] [EPSILON d] [XDISTANCE_METRIC metric] [FILTER expression] [FILTER-EF n].
// nullopt: it is another. Empty: it was taken. Else the error.
std::optional<std::string> TakeSearchOption(Arguments& arguments, SearchOptions& options);

// What is asked of a set. It points into the options. What is beyond the set is left out: it would
// only be memory.
vset::SearchRequest RequestOf(const SearchOptions& options, const vset::VectorSet& set);

// Whether hits of this similarity can be limited by it.
bool IsEpsilonOf(vset::Similarity similarity, double epsilon);

// What is wrong with a query of `got` numbers.
std::string DimensionMismatch(const vset::Encoding& encoding, size_t got);

struct HitView {
  std::string_view name;
  double score;
  std::string_view attribute;
};
// As VSIM replies, with scores and attributes as the options say.
void ReplyHits(redis::Ctx* ctx, const SearchOptions& options, const std::vector<HitView>& hits);

}  // namespace shoal::vset_module
