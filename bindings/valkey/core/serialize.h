// A vector set as a stream of bytes, for a server's files and replicas.
//
// Layout, little-endian:
//   magic "SHOALVS\0", uint32 version
//   sections: uint32 tag, uint32 flags (bit 0: a reader that does not know the tag must refuse),
//             uint64 bytes, payload, uint64 XXH3 of tag, flags, bytes and payload
//   CONF  dim, input_dim, quantization, similarity, links, build_ef, elements
//   ELEM  any number of times: elements, each name bytes, attribute bytes, norm, range, name,
//         attribute, encoded vector
//   DONE  the last: uint64 elements, uint64 XXH3 of all sections' checksums
// The graph is not in it: it is built again (LoadOptions). Sections that are unknown and
// not required are passed over, so later versions may add some.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "shoal/result.h"
#include "vector_set.h"

namespace shoal::vset {

inline constexpr uint32_t kFormatVersion = 1;

// Takes the next bytes of a stream; false ends the call with Io.
using Sink = std::function<bool(std::span<const std::byte> bytes)>;
// Gives the next bytes of a stream: at most bytes.size(), at least 1; 0 at the end of the stream or
// where it fails.
using Source = std::function<size_t(std::span<std::byte> bytes)>;

// Writes the set, a section at a time: some 256 KB, more where an element is larger. As
// VectorSet::ForEach: called by the owner, or in the child of its fork. Equal states give equal
// bytes. Io.
Status Save(const VectorSet& set, const Sink& sink);

// What loading may take and make.
struct LoadOptions {
  uint64_t max_elements = kMaxElements;
  WorkGate* gate = nullptr;  // VectorSetOptions::gate.
  // Threads that link the elements before Load returns. 0: all stay in the tail, and searches
  // compare everything until Link has been called often enough.
  size_t threads = 0;
};
// Makes the set that Save wrote; never an empty one. Everything is checked before it is used:
// memory is taken as bytes arrive, not as lengths claim; names are unique; numbers are finite and
// in range; nothing follows the end. The input may be hostile. Corrupt: cut off, damaged, or breaks
// a rule; names section and field. Unsupported: another version, or an unknown section that is
// required. OutOfMemory: more than max_elements. Io.
Result<std::unique_ptr<VectorSet>> Load(const Source& source, const LoadOptions& options = {});

}  // namespace shoal::vset
