#include "codec/make_codec.h"

#include "codec/full_codec.h"

namespace shoal {

std::unique_ptr<Codec> MakeCodec(Code code, ScalarType type, Metric metric, size_t dim,
                                 std::span<const std::byte> parameters) {
  switch (code) {
    case Code::kFull:
      if (!parameters.empty()) break;
      return std::make_unique<FullCodec>(type, metric, dim);
    case Code::kFloat16:
      if (type != ScalarType::kFloat32 || !parameters.empty()) break;
      return std::make_unique<FullCodec>(type, ScalarType::kFloat16, metric, dim);
    case Code::kAuto:
    case Code::kBfloat16:
    case Code::kSq8:
    case Code::kRq4:
    case Code::kRq3:
    case Code::kRq2:
    case Code::kRq1:
    case Code::kSign: break;
  }
  return nullptr;
}

}  // namespace shoal
