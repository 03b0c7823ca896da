// The codecs of a snapshot's rows.
#pragma once

#include <memory>

#include "codec/codec.h"
#include "persist/snapshot_file.h"

namespace shoal {

struct SnapshotCodecs {
  std::unique_ptr<Codec> traversal;
  std::unique_ptr<Codec> rerank;  // Null: the file has no rerank rows.
};
// With the file's parameters and norms. Corrupt: no codec has such parameters; or damaged. Io.
// OutOfMemory.
Result<SnapshotCodecs> MakeSnapshotCodecs(const SnapshotReader& reader);

}  // namespace shoal
