// The codec that a code names.
#pragma once

#include <memory>
#include <span>

#include "codec/codec.h"
#include "shoal/types.h"

namespace shoal {

// `code`: not kAuto. That of kNone is that of kFull. `parameters`: of a codec of this kind; empty:
// new ones. Null: such vectors have no such code, or no such code has such parameters.
std::unique_ptr<Codec> MakeCodec(Code code, ScalarType type, Metric metric, size_t dim,
                                 std::span<const std::byte> parameters = {});

}  // namespace shoal
