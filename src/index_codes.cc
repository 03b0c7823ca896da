#include "index_codes.h"

#include <algorithm>
#include <string>

#include "base/mismatch.h"

namespace shoal {
namespace {

// Codes that are near enough to the vector to order hits.
bool MayRerank(Code code) {
  return code == Code::kFull || code == Code::kFloat16 || code == Code::kBfloat16 ||
         code == Code::kSq8;
}

// The fastest code that loses nothing (docs/codes.md, "Which code is the default"). Other vectors
// are small already, or no code knows their metric.
Code DefaultCode(const IndexOptions& options) {
  constexpr uint32_t kLeastDim = 96;
  const bool is_float =
      options.scalar_type == ScalarType::kFloat32 || options.scalar_type == ScalarType::kFloat16;
  const bool is_known = options.metric == Metric::kL2 || options.metric == Metric::kCosine ||
                        options.metric == Metric::kInnerProduct;
  return is_float && is_known && options.dim >= kLeastDim ? Code::kRq4 : Code::kFull;
}

// Candidates that are reranked where a search does not say how many: times k, and at least.
struct RerankShare {
  size_t times_k, least;
};
constexpr RerankShare ShareOf(Code code) {
  switch (code) {
    case Code::kRq4: return {3, 24};
    case Code::kRq3:
    case Code::kRq2: return {5, 48};
    case Code::kRq1: return {1, SIZE_MAX};  // The whole list.
    default: return {4, 32};
  }
}

}  // namespace

IndexOptions ResolveCodes(IndexOptions options) {
  if (options.code == Code::kAuto) options.code = DefaultCode(options);
  if (options.rerank_code == Code::kAuto) options.rerank_code = Code::kFull;
  return options;
}

Status CheckCodes(const IndexOptions& options) {
  if (options.rerank_code == Code::kNone)
    return Mismatch(ErrorCode::kInvalidArgument, "rerank_code", "one that orders hits", "none");
  if (!HasRerankRows(options)) return {};
  if (options.code == Code::kFull)
    return Mismatch(ErrorCode::kInvalidArgument, "rerank_code", "full, as code is",
                    CodeName(options.rerank_code));
  if (MayRerank(options.rerank_code)) return {};
  return Mismatch(
      ErrorCode::kInvalidArgument, "rerank_code",
      "full, float16, bfloat16, sq8, or " + std::string(CodeName(options.code)) + ", as code is",
      CodeName(options.rerank_code));
}

bool PrunesOnRerankRows(Code code) {
  return code == Code::kRq2 || code == Code::kRq1 || code == Code::kSign;
}

bool YieldsToRerankRows(Code code) { return code == Code::kRq4 || code == Code::kRq3; }

// At 1M x 128, recall@10 at 10 to 180 candidates: docs/codes.md.
size_t ListOfEstimates(Code code, size_t list_size) {
  switch (code) {
    case Code::kRq4: return list_size + 2 + list_size / 16;
    case Code::kRq3: return list_size + 4 + list_size / 12;
    default: return list_size;
  }
}

size_t CandidatesToRerank(Code code, size_t wanted, size_t k, size_t list_size) {
  const RerankShare share = ShareOf(code);
  if (wanted == 0) wanted = std::max(share.times_k * k, share.least);
  return std::clamp(wanted, k, list_size);
}

}  // namespace shoal
