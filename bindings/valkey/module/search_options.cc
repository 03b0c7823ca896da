#include "bindings/valkey/module/search_options.h"

#include <algorithm>
#include <utility>

#include "bindings/valkey/module/command.h"
#include "bindings/valkey/module/settings.h"

namespace shoal::vset_module {

namespace {

// FILTER-EF where none is given: so many times COUNT.
constexpr size_t kFilterEfOfCount = 100;

bool AtLeast(std::optional<long long> value, long long least) { return value && *value >= least; }

// Words without a value.
bool TakeFlag(Arguments& arguments, SearchOptions& options) {
  if (arguments.TakeWord("WITHSCORES")) return options.with_scores = true;
  if (arguments.TakeWord("WITHATTRIBS")) return options.with_attributes = true;
  if (arguments.TakeWord("NOTHREAD")) return options.at_once = true;
  return arguments.TakeWord("TRUTH") && (options.exact = true);
}

std::string TakeFilter(Arguments& arguments, SearchOptions& options) {
  options.filter_text = arguments.Take();
  Result<vset::FilterExpression> filter = vset::FilterExpression::Parse(*options.filter_text);
  if (!filter) return "ERR " + filter.error().message;
  options.filter = *std::move(filter);
  return {};
}

}  // namespace

std::optional<std::string> TakeSearchOption(Arguments& arguments, SearchOptions& options) {
  if (TakeFlag(arguments, options)) return "";
  if (arguments.left() < 2) return std::nullopt;
  if (arguments.TakeWord("COUNT")) {
    const std::optional<long long> count = arguments.TakeInteger();
    if (!AtLeast(count, 1)) return "ERR invalid COUNT";
    options.count = static_cast<size_t>(*count);
  } else if (arguments.TakeWord("EF")) {
    const std::optional<long long> ef = arguments.TakeInteger();
    if (!AtLeast(ef, 1) || *ef > vset::kMaxEf) return "ERR invalid EF";
    options.ef = static_cast<size_t>(*ef);
  } else if (arguments.TakeWord("EPSILON")) {
    options.epsilon = arguments.TakeDouble();
    if (!options.epsilon) return "ERR invalid EPSILON";
  } else if (arguments.TakeWord("XDISTANCE_METRIC")) {
    options.similarity = TakeSimilarity(arguments);
    if (!options.similarity) return "ERR invalid XDISTANCE_METRIC";
  } else if (arguments.TakeWord("FILTER")) {
    return TakeFilter(arguments, options);
  } else if (arguments.TakeWord("FILTER-EF")) {
    const std::optional<long long> ef = arguments.TakeInteger();
    if (!AtLeast(ef, 1)) return "ERR invalid FILTER-EF";
    options.filter_ef = static_cast<size_t>(*ef);
  } else {
    return std::nullopt;
  }
  return "";
}

vset::SearchRequest RequestOf(const SearchOptions& options, const vset::VectorSet& set) {
  using Scan = vset::SearchRequest::Scan;
  const size_t size = std::max<size_t>(set.size(), 1);
  const size_t ef = options.ef.value_or(static_cast<size_t>(CurrentSettings().default_ef));
  vset::SearchRequest request{.count = std::min(options.count, size), .epsilon = options.epsilon};
  request.ef = std::min(std::max(ef, request.count), size);
  request.filter = options.filter ? &*options.filter : nullptr;
  request.filter_ef = options.filter_ef.value_or(kFilterEfOfCount * request.count);
  request.scan = options.exact ? Scan::kExact : Scan::kGraph;
  return request;
}

bool IsEpsilonOf(vset::Similarity similarity, double epsilon) {
  return similarity == vset::Similarity::kInnerProduct || epsilon > 0;
}

std::string DimensionMismatch(const vset::Encoding& encoding, size_t got) {
  const std::string expected = std::to_string(encoding.input_dim());
  if (encoding.options().input_dim != 0) {
    return "Input dimension mismatch for projection - got " + std::to_string(got) +
           " but projection expects " + expected;
  }
  return "Vector dimension mismatch - got " + std::to_string(got) + " but set has " + expected;
}

void ReplyHits(redis::Ctx* ctx, const SearchOptions& options, const std::vector<HitView>& hits) {
  const auto count = static_cast<long>(hits.size());
  const bool both = options.with_scores && options.with_attributes;
  const bool resp3 = (redis::GetContextFlags(ctx) & redis::kCtxResp3) != 0;
  if (both && !resp3) {
    redis::ReplyWithArray(ctx, 3 * count);
  } else if (options.with_scores || options.with_attributes) {
    redis::ReplyWithMap(ctx, count);
  } else {
    redis::ReplyWithArray(ctx, count);
  }
  for (const HitView& hit : hits) {
    ReplyBytes(ctx, hit.name);
    if (both && resp3) redis::ReplyWithArray(ctx, 2);
    if (options.with_scores) redis::ReplyWithDouble(ctx, hit.score);
    if (options.with_attributes) ReplyAttribute(ctx, hit.attribute);
  }
}

}  // namespace shoal::vset_module
