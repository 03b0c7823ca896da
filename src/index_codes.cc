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

}  // namespace

IndexOptions ResolveCodes(IndexOptions options) {
  if (options.code == Code::kAuto) options.code = Code::kFull;
  if (options.rerank_code == Code::kAuto) options.rerank_code = Code::kFull;
  return options;
}

Status CheckCodes(const IndexOptions& options) {
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

size_t CandidatesToRerank(size_t wanted, size_t k, size_t list_size) {
  constexpr size_t kTimes = 4, kLeast = 32;  // Guessed; the job `index` would tune them.
  if (wanted == 0) wanted = std::max(kTimes * k, kLeast);
  return std::clamp(wanted, k, list_size);
}

}  // namespace shoal
