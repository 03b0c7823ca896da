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
#include "bindings/valkey/module/search_options.h"
#include "bindings/valkey/module/set_type.h"
#include "bindings/valkey/module/statistics.h"

namespace shoal::vset_module {

namespace {

// Numbers (elements x dimensions) that the main thread scans itself: some 10 us. (Guessed.)
constexpr size_t kInlineNumbers = 65536;

// What is asked, what came of it.
struct SearchCall {
  SharedSet set;
  vset::EncodedVector query;
  SearchOptions options;
  vset::SearchRequest request;  // Of the options, which it points into.
  redis::BlockedClient* client = nullptr;
  Result<std::vector<vset::Found>> found;

  void Search() { found = set->set().Search(query, request); }
};

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
  if (vector->size() != encoding.input_dim())
    return "ERR " + DimensionMismatch(encoding, vector->size());
  Result<vset::EncodedVector> query = encoding.Encode(*vector);
  if (!query) return "ERR invalid vector specification";
  call.query = *std::move(query);
  return {};
}

std::string TakeOptions(Arguments& arguments, SearchCall& call) {
  SearchOptions& options = call.options;
  while (!arguments.done()) {
    const std::optional<std::string> error = TakeSearchOption(arguments, options);
    if (!error) return "ERR syntax error in VSIM command";
    if (!error->empty()) return *error;
  }
  const vset::VectorSet& set = call.set->set();
  const vset::Similarity similarity = set.options().encoding.similarity;
  if (options.epsilon && !IsEpsilonOf(similarity, *options.epsilon)) return "ERR invalid EPSILON";
  if (options.similarity.value_or(similarity) != similarity)
    return "ERR asked distance metric mismatch with existing vector set";
  call.request = RequestOf(options, set);
  return {};
}

int ReplyFound(redis::Ctx* ctx, const SearchCall& call) {
  if (!call.found) return ReplyError(ctx, "ERR " + call.found.error().message);
  std::vector<HitView> hits;
  for (const vset::Found& hit : *call.found) hits.push_back({hit.name, hit.score, hit.attribute});
  ReplyHits(ctx, call.options, hits);
  return redis::kOk;
}

bool RunsAtOnce(redis::Ctx* ctx, const SearchCall& call) {
  const vset::VectorSet& set = call.set->set();
  return call.options.at_once || !MayBlock(ctx) ||
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
