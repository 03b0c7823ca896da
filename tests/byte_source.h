// A source of bytes for tests of what reads streams.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include "shoal/stream.h"

namespace shoal {

// Gives at most `most` bytes at a time. They must stay there.
inline ByteSource Giving(std::span<const std::byte> bytes, size_t most) {
  return [bytes, most](std::span<std::byte> out) mutable -> Result<size_t> {
    const size_t n = std::min({most, out.size(), bytes.size()});
    std::copy_n(bytes.begin(), n, out.begin());
    bytes = bytes.subspan(n);
    return n;
  };
}

}  // namespace shoal
