// The codec that a code names.
#pragma once

#include <memory>

#include "codec/codec.h"
#include "shoal/types.h"

namespace shoal {

// `code`: not kAuto. Null: such vectors have no such code.
std::unique_ptr<Codec> MakeCodec(Code code, ScalarType type, Metric metric, size_t dim);

}  // namespace shoal
