// What an index will take, before there is one.
#include <algorithm>
#include <new>
#include <string>

#include "index_codes.h"
#include "index_impl.h"

namespace shoal {
namespace {

// Tag, lock, external id, rank, free list; and the id map's share. Measured.
constexpr uint64_t kSlotBytes = 44;
constexpr uint64_t kIdMapBytes = 7;
// What an index with one point has beside its rows and lists. Measured.
constexpr uint64_t kFixedBytes = uint64_t{160} << 10;

// In-edges are as many as out-edges. These are 60 at most on most data, whatever max_degree allows.
// Measured on uniform and Gaussian data of 16 to 256 dimensions.
uint64_t ReverseBytes(const IndexOptions& options) {
  return 40 + 36 * uint64_t{std::min(options.max_degree, 64u)} / 10;
}

}  // namespace

Result<uint64_t> IndexImpl::BytesPerPoint(const IndexOptions& options) {
  try {
    Result<uint64_t> rows = RowBytes(options);
    if (!rows) return rows;
    return *rows + sizeof(SlotId) * uint64_t{options.max_degree} + ReverseBytes(options) +
           kSlotBytes + kIdMapBytes;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options, "estimate");
  }
}

Result<uint64_t> EstimateBytes(const IndexOptions& options, uint64_t points) {
  Result<uint64_t> each = IndexImpl::BytesPerPoint(options);
  if (!each) return each;
  return kFixedBytes + points * *each;
}

Result<FittedOptions> FitToMemory(const IndexOptions& options, uint64_t points,
                                  uint64_t memory_budget) {
  constexpr Code kCodes[] = {Code::kFull, Code::kFloat16, Code::kSq8, Code::kRq4,
                             Code::kRq3,  Code::kRq2,     Code::kRq1, Code::kNone};
  if (options.code != Code::kAuto)
    return Invalid("code", "auto: the code is picked", CodeName(options.code));
  std::string least;
  for (const Code code : kCodes) {
    FittedOptions fitted{.options = options};
    fitted.options.code = code;
    // The vectors take no memory.
    fitted.options.rerank_code = code == Code::kNone ? Code::kFull : code;
    const Result<uint64_t> bytes = EstimateBytes(fitted.options, points);
    if (!bytes && bytes.error().code == ErrorCode::kUnsupported) continue;
    if (!bytes) return tl::unexpected(bytes.error());
    if (*bytes <= memory_budget) {
      fitted.options.rerank_code = options.rerank_code;
      fitted.options.runtime.memory_limit = memory_budget;
      fitted.bytes = *bytes;
      return fitted;
    }
    least = std::to_string(*bytes) + " bytes (" + std::string(CodeName(code)) + ", " +
            std::to_string(points) + " points of " + std::to_string(options.dim) +
            " dimensions, max_degree " + std::to_string(options.max_degree) + ")";
  }
  return Invalid("memory_budget", "at least " + least, std::to_string(memory_budget));
}

Result<uint64_t> EstimatePoints(const IndexOptions& options, uint64_t bytes) {
  Result<uint64_t> each = IndexImpl::BytesPerPoint(options);
  if (!each) return each;
  return bytes < kFixedBytes ? 0 : (bytes - kFixedBytes) / *each;
}

}  // namespace shoal
