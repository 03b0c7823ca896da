#include "codec/make_codec.h"

#include "codec/full_codec.h"
#include "codec/rq_codec.h"
#include "codec/sign_codec.h"
#include "codec/sq8_codec.h"

namespace shoal {
namespace {

// Of new rotations: every index has the same one.
constexpr uint64_t kSeed = 1;

bool IsFloat(ScalarType type) {
  return type == ScalarType::kFloat32 || type == ScalarType::kFloat16;
}

// Whether distances are functions of norms and inner products.
bool HasNorms(Metric metric) {
  return metric == Metric::kL2 || metric == Metric::kInnerProduct || metric == Metric::kCosine;
}

std::unique_ptr<Codec> MakeRq(const RqCodec::Shape& shape, ScalarType type,
                              std::span<const std::byte> parameters) {
  if (type == ScalarType::kBit || !HasNorms(shape.metric)) return nullptr;
  auto codec = std::make_unique<RqCodec>(shape, kSeed);
  if (!parameters.empty() && !codec->Restore(parameters)) return nullptr;
  return codec;
}

}  // namespace

std::unique_ptr<Codec> MakeCodec(Code code, ScalarType type, Metric metric, size_t dim,
                                 std::span<const std::byte> parameters) {
  switch (code) {
    case Code::kFull:
    case Code::kNone:
      if (!parameters.empty()) break;
      return std::make_unique<FullCodec>(type, metric, dim);
    case Code::kFloat16:
    case Code::kBfloat16:
      if (type != ScalarType::kFloat32 || !parameters.empty()) break;
      return std::make_unique<FullCodec>(type, code, metric, dim);
    case Code::kSq8:
      if (!IsFloat(type) || !HasNorms(metric) || !parameters.empty()) break;
      return std::make_unique<Sq8Codec>(metric, dim);
    case Code::kRq4: return MakeRq({metric, dim, 4}, type, parameters);
    case Code::kRq3: return MakeRq({metric, dim, 3}, type, parameters);
    case Code::kRq2: return MakeRq({metric, dim, 2}, type, parameters);
    case Code::kRq1: return MakeRq({metric, dim, 1}, type, parameters);
    case Code::kSign:
      if (type == ScalarType::kBit || !parameters.empty()) break;
      return std::make_unique<SignCodec>(metric, dim);
    case Code::kAuto: break;
  }
  return nullptr;
}

}  // namespace shoal
