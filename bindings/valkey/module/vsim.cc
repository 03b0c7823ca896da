// VSIM key (ELE element | FP32 blob | VALUES n v1 .. vn | XI8 blob | XU8 blob) [WITHSCORES]
//   [WITHATTRIBS] [COUNT n] [EPSILON d] [EF n] [FILTER expression] [FILTER-EF n] [TRUTH] [NOTHREAD]
//   [XDISTANCE_METRIC metric]
//
// A search runs on a worker thread while its client is blocked. It runs at once where that is not
// allowed (scripts, transactions), not wanted (NOTHREAD), or not worth it (small sets).
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "bindings/valkey/module/arguments.h"
#include "bindings/valkey/module/command.h"
#include "bindings/valkey/module/pool.h"
#include "bindings/valkey/module/set_type.h"
#include "bindings/valkey/module/settings.h"
#include "bindings/valkey/module/statistics.h"

namespace shoal::vset_module {

namespace {

// Numbers (elements x dimensions) that the main thread scans itself: some 10 us. (Guessed.)
constexpr size_t kInlineNumbers = 65536;
// FILTER-EF where none is given: so many times COUNT.
constexpr size_t kFilterEfOfCount = 100;

// What is asked, what came of it.
struct SearchCall {
  SharedSet set;
  vset::EncodedVector query;
  vset::SearchRequest request;
  std::optional<vset::FilterExpression> filter;
  std::optional<size_t> filter_ef;
  bool with_scores = false;
  bool with_attributes = false;
  bool at_once = false;
  redis::BlockedClient* client = nullptr;
  Result<std::vector<vset::Found>> found;

  void Search() {
    request.filter = filter ? &*filter : nullptr;
    found = set->set().Search(query, request);
  }
};

bool AtLeast(std::optional<long long> value, long long least) { return value && *value >= least; }

// The query. Empty, or the error.
std::string TakeQuery(Arguments& arguments, SearchCall& call) {
  const vset::VectorSet& set = call.set->set();
  const vset::Encoding& encoding = set.encoding();
  if (arguments.TakeWord("ELE")) {
    std::optional<vset::EncodedVector> vector = set.Vector(arguments.Take());
    if (!vector) return "ERR element not found in set";
    call.query = *std::move(vector);
    return {};
  }
  const std::optional<std::vector<float>> vector = TakeVector(arguments);
  if (!vector) return "ERR invalid vector specification";
  if (vector->size() != encoding.input_dim()) {
    const bool projected = encoding.options().input_dim != 0;
    const std::string got = std::to_string(vector->size());
    const std::string expected = std::to_string(encoding.input_dim());
    return projected ? "ERR Input dimension mismatch for projection - got " + got +
                           " but projection expects " + expected
                     : "ERR Vector dimension mismatch - got " + got + " but set has " + expected;
  }
  Result<vset::EncodedVector> query = encoding.Encode(*vector);
  if (!query) return "ERR invalid vector specification";
  call.query = *std::move(query);
  return {};
}

// Words without a value.
bool TakeFlag(Arguments& arguments, SearchCall& call) {
  if (arguments.TakeWord("WITHSCORES")) return call.with_scores = true;
  if (arguments.TakeWord("WITHATTRIBS")) return call.with_attributes = true;
  if (arguments.TakeWord("NOTHREAD")) return call.at_once = true;
  if (!arguments.TakeWord("TRUTH")) return false;
  call.request.scan = vset::SearchRequest::Scan::kExact;
  return true;
}

// FILTER and what belongs to it. nullopt: another word.
std::optional<std::string> TakeFilterOption(Arguments& arguments, SearchCall& call) {
  if (arguments.TakeWord("FILTER")) {
    Result<vset::FilterExpression> filter = vset::FilterExpression::Parse(arguments.Take());
    if (!filter) return "ERR " + filter.error().message;
    call.filter = *std::move(filter);
    return "";
  }
  if (!arguments.TakeWord("FILTER-EF")) return std::nullopt;
  const std::optional<long long> ef = arguments.TakeInteger();
  if (!AtLeast(ef, 1)) return "ERR invalid FILTER-EF";
  call.filter_ef = static_cast<size_t>(*ef);
  return "";
}

// An option with a value. Empty, or the error.
std::string TakeValuedOption(Arguments& arguments, SearchCall& call) {
  constexpr char kSyntaxError[] = "ERR syntax error in VSIM command";
  if (arguments.left() < 2) return kSyntaxError;
  const vset::Similarity similarity = call.set->set().options().encoding.similarity;
  if (arguments.TakeWord("COUNT")) {
    const std::optional<long long> count = arguments.TakeInteger();
    if (!AtLeast(count, 1)) return "ERR invalid COUNT";
    call.request.count = static_cast<size_t>(*count);
  } else if (arguments.TakeWord("EF")) {
    const std::optional<long long> ef = arguments.TakeInteger();
    if (!AtLeast(ef, 1) || *ef > vset::kMaxEf) return "ERR invalid EF";
    call.request.ef = static_cast<size_t>(*ef);
  } else if (arguments.TakeWord("EPSILON")) {
    call.request.epsilon = arguments.TakeDouble();
    const bool any = similarity == vset::Similarity::kInnerProduct;
    if (!call.request.epsilon || (!any && *call.request.epsilon <= 0)) return "ERR invalid EPSILON";
  } else if (arguments.TakeWord("XDISTANCE_METRIC")) {
    const std::optional<vset::Similarity> asked = TakeSimilarity(arguments);
    if (!asked) return "ERR invalid XDISTANCE_METRIC";
    if (*asked != similarity) return "ERR asked distance metric mismatch with existing vector set";
  } else {
    return TakeFilterOption(arguments, call).value_or(kSyntaxError);
  }
  return {};
}

std::string TakeOptions(Arguments& arguments, SearchCall& call) {
  call.request.ef = static_cast<size_t>(CurrentSettings().default_ef);
  while (!arguments.done()) {
    if (TakeFlag(arguments, call)) continue;
    if (std::string error = TakeValuedOption(arguments, call); !error.empty()) return error;
  }
  // What is beyond the set would only be memory.
  const size_t size = call.set->set().size();
  call.request.count = std::min(call.request.count, size);
  call.request.ef = std::min(std::max(call.request.ef, call.request.count), size);
  call.request.filter_ef = call.filter_ef.value_or(kFilterEfOfCount * call.request.count);
  return {};
}

int ReplyFound(redis::Ctx* ctx, const SearchCall& call) {
  if (!call.found) return ReplyError(ctx, "ERR " + call.found.error().message);
  const auto count = static_cast<long>(call.found->size());
  const bool both = call.with_scores && call.with_attributes;
  const bool resp3 = (redis::GetContextFlags(ctx) & redis::kCtxResp3) != 0;
  if (both && !resp3) {
    redis::ReplyWithArray(ctx, 3 * count);
  } else if (call.with_scores || call.with_attributes) {
    redis::ReplyWithMap(ctx, count);
  } else {
    redis::ReplyWithArray(ctx, count);
  }
  for (const vset::Found& hit : *call.found) {
    ReplyBytes(ctx, hit.name);
    if (both && resp3) redis::ReplyWithArray(ctx, 2);
    if (call.with_scores) redis::ReplyWithDouble(ctx, hit.score);
    if (call.with_attributes) ReplyAttribute(ctx, hit.attribute);
  }
  return redis::kOk;
}

bool RunsAtOnce(redis::Ctx* ctx, const SearchCall& call) {
  constexpr int kNoBlocking = redis::kCtxLua | redis::kCtxMulti | redis::kCtxDenyBlocking |
                              redis::kCtxReplicated | redis::kCtxLoading;
  const vset::VectorSet& set = call.set->set();
  return call.at_once || (redis::GetContextFlags(ctx) & kNoBlocking) != 0 ||
         set.size() * size_t{set.options().encoding.dim} <= kInlineNumbers;
}

int ReplyBlocked(redis::Ctx* ctx, redis::String**, int) {
  return ReplyFound(ctx, *static_cast<SearchCall*>(redis::GetBlockedClientPrivateData(ctx)));
}

void FreeCall(redis::Ctx*, void* call) { delete static_cast<SearchCall*>(call); }

void SearchBlocked(SearchCall* call) {
  if (redis::BlockedClientMeasureTimeStart != nullptr)
    redis::BlockedClientMeasureTimeStart(call->client);
  call->Search();
  if (redis::BlockedClientMeasureTimeEnd != nullptr)
    redis::BlockedClientMeasureTimeEnd(call->client);
  // The call is the server's from here on: it may be gone when this returns.
  redis::UnblockClient(call->client, call);
}

}  // namespace

int RunVsim(redis::Ctx* ctx, redis::String** argv, int argc) {
  if (argc < 4) return redis::WrongArity(ctx);
  auto call = std::make_unique<SearchCall>();
  {
    const OpenedKey key(ctx, argv[1], OpenedKey::Mode::kRead);
    if (key.wrong_type()) return ReplyWrongType(ctx);
    if (key.empty()) return redis::ReplyWithArray(ctx, 0);
    call->set = key.set();
  }
  Arguments arguments(argv, argc);
  if (std::string error = TakeQuery(arguments, *call); !error.empty())
    return ReplyError(ctx, error);
  if (std::string error = TakeOptions(arguments, *call); !error.empty())
    return ReplyError(ctx, error);
  if (RunsAtOnce(ctx, *call)) {
    Count(&Statistics::searches_at_once);
    call->Search();
    return ReplyFound(ctx, *call);
  }
  Count(&Statistics::searches_on_threads);
  SearchCall* const blocked = call.release();
  blocked->client = redis::BlockClient(ctx, ReplyBlocked, nullptr, FreeCall, 0);
  Pool::Instance().Post(Pool::Urgency::kSearch, [blocked] { SearchBlocked(blocked); });
  return redis::kOk;
}

}  // namespace shoal::vset_module
