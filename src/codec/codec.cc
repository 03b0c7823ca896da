#include "codec/codec.h"

#include "base/mismatch.h"

namespace shoal {

Status Codec::Restore(std::span<const std::byte> parameters) {
  if (parameters.empty()) return {};
  return Mismatch(ErrorCode::kCorrupt, "bytes of the codec's parameters", "0",
                  Written(parameters.size()));
}

}  // namespace shoal
