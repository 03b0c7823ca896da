// All of a snapshot's blocks, on several threads.
#pragma once

#include <new>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "persist/snapshot_file.h"

namespace shoal {

// use(section, block, bytes) -> Status, of each block once its checksum was
// compared; from several threads. The first error ends it. Cancelled. OutOfMemory.
template <class Use>
Status ReadAllBlocks(const SnapshotReader& reader, const Use& use, const BatchOptions& batch) {
  const SnapshotHeader& header = reader.header();
  const std::string path = reader.file().path().string();
  size_t first_block = 0;
  FirstError first;
  try {
    for (const SnapshotSection section : kSnapshotSections) {
      const auto progress = [&](size_t done, size_t) {
        if (batch.progress) batch.progress(first_block + done, header.blocks());
      };
      const auto read = [&](size_t begin, size_t end) {
        std::vector<std::byte> block;
        for (size_t b = begin; b < end && first.ok(); ++b) {
          Status ok = reader.ReadBlock(section, b, block);
          if (ok) ok = use(section, b, block);
          first.Note(std::move(ok));
        }
      };
      const size_t done =
          ParallelFor(batch.threads, header.BlocksOf(section), 1, progress, read, batch.stop);
      if (!first.ok()) return first.Take();
      if (done < header.BlocksOf(section))
        return MakeError(ErrorCode::kCancelled, path + ": cancelled after " +
                                                    std::to_string(first_block + done) + " of " +
                                                    std::to_string(header.blocks()) + " blocks");
      first_block += header.BlocksOf(section);
    }
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, path + ": no memory to read it");
  }
  return {};
}

}  // namespace shoal
