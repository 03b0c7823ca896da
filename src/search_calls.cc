#include "search_calls.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <string>

#include "base/memory.h"
#include "base/mismatch.h"
#include "filter/filter_node.h"

namespace shoal {
namespace {

tl::unexpected<Error> InvalidCall(std::string_view field, std::string_view expected,
                                  std::string_view found) {
  return Mismatch(ErrorCode::kInvalidArgument, field, expected, found);
}

}  // namespace

Status CheckOptions(const SearchOptions& options) {
  if (options.k == 0) return InvalidCall("k", "at least 1", "0");
  if (!(options.target_recall >= 0 && options.target_recall <= 1))
    return InvalidCall("target_recall", "0 to 1", std::to_string(options.target_recall));
  return CheckFilter(options.filter);
}

Status CheckPage(std::span<ExternalId> ids, std::span<float> distances) {
  if (ids.empty()) return InvalidCall("ids", "room for at least 1", "0");
  if (!distances.empty() && distances.size() < ids.size())
    return InvalidCall("distances", "room for " + Written(ids.size()), Written(distances.size()));
  return {};
}

Status CheckSearch(const SearchOptions& options, std::span<ExternalId> ids,
                   std::span<float> distances) {
  if (Status valid = CheckOptions(options); !valid) return valid;
  if (ids.size() < options.k)
    return InvalidCall("ids", "room for k = " + Written(options.k), Written(ids.size()));
  if (!distances.empty() && distances.size() < options.k)
    return InvalidCall("distances", "room for k = " + Written(options.k),
                       Written(distances.size()));
  return {};
}

Status CheckRangeSearch(const RangeOptions& options) {
  if (std::isnan(options.radius)) return InvalidCall("radius", "a number", "NaN");
  return CheckFilter(options.filter);
}

// Queries that one thread takes at a time from a batch of n: few enough that all threads have
// several pieces, so many that a piece (128 candidates, guessed: some 100 us) is worth a thread's
// start.
size_t SearchGrain(size_t n, size_t threads, const SearchOptions& options) {
  constexpr size_t kMax = 8, kPieces = 4, kWorthAStart = 128;
  if (threads == 0) threads = AvailableCpus();
  const size_t list = std::max(options.search_list_size, options.k);
  const size_t least = std::clamp<size_t>(kWorthAStart / list, 1, kMax);
  return std::clamp(n / threads / kPieces, least, kMax);
}

RangeHits Joined(const std::vector<std::vector<Hit>>& found) {
  RangeHits joined;
  joined.limits.reserve(found.size() + 1);
  joined.limits.push_back(0);
  for (const std::vector<Hit>& hits : found)
    joined.limits.push_back(joined.limits.back() + hits.size());
  joined.ids.reserve(joined.limits.back());
  joined.distances.reserve(joined.limits.back());
  for (const std::vector<Hit>& hits : found) {
    for (const Hit& hit : hits) {
      joined.ids.push_back(hit.id);
      joined.distances.push_back(hit.distance);
    }
  }
  return joined;
}

tl::unexpected<Error> NoMemory(const char* what) {
  try {
    return MakeError(ErrorCode::kOutOfMemory, std::string(what) + ": no memory");
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "no memory");  // Short enough to need none.
  }
}

Status CheckBatch(MatrixView queries, const SearchOptions& options,
                  const SearchManyOutput& output) {
  const size_t n = queries.rows();
  // n x each elements, which may be more than a size_t counts.
  const auto check = [n](const char* name, size_t each, size_t found) -> Status {
    if (n == 0 || found / n >= each) return {};
    return InvalidCall(name, "room for " + Written(n) + " x " + Written(each), Written(found));
  };
  if (Status valid = CheckOptions(options); !valid) return valid;
  Status sizes = check("ids", options.k, output.ids.size());
  if (sizes && !output.distances.empty())
    sizes = check("distances", options.k, output.distances.size());
  if (sizes) sizes = check("counts", 1, output.counts.size());
  if (sizes && !output.work.empty()) sizes = check("work", 1, output.work.size());
  return sizes;
}

}  // namespace shoal
