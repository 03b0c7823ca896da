#include "shoal/snapshot.h"

#include <atomic>
#include <new>
#include <string>

#include "base/parallel.h"
#include "persist/snapshot_file.h"

namespace shoal {
namespace {

SnapshotInfo InfoOf(const SnapshotHeader& header) {
  return {.format_version = kSnapshotVersion,
          .options = header.options,
          .points = header.points,
          .edges = header.edges,
          .bytes = header.file_bytes,
          .has_vectors = header.has_slots == 0};
}

}  // namespace

Result<SnapshotInfo> InspectSnapshot(const std::filesystem::path& path) {
  Result<InputFile> file = InputFile::Open(path);
  if (!file) return tl::unexpected(file.error());
  Result<SnapshotHeader> header = SnapshotReader::ReadHeader(*file);
  if (!header) return tl::unexpected(header.error());
  return InfoOf(*header);
}

Result<SnapshotInfo> VerifySnapshot(const std::filesystem::path& path, const BatchOptions& batch) {
  const Result<SnapshotReader> reader = SnapshotReader::Open(path);
  if (!reader) return tl::unexpected(reader.error());
  const SnapshotHeader& header = reader->header();
  size_t first_block = 0;
  FirstError first;
  try {
    for (const SnapshotSection section : kSnapshotSections) {
      const auto progress = [&](size_t done, size_t) {
        if (batch.progress) batch.progress(first_block + done, header.blocks());
      };
      const auto read = [&](size_t begin, size_t end) {
        std::vector<std::byte> block;
        for (size_t b = begin; b < end && first.ok(); ++b)
          first.Note(reader->ReadBlock(section, b, block));
      };
      const size_t done =
          ParallelFor(batch.threads, header.BlocksOf(section), 1, progress, read, batch.stop);
      if (!first.ok()) return tl::unexpected(first.Take().error());
      if (done < header.BlocksOf(section))
        return MakeError(ErrorCode::kCancelled, path.string() + ": cancelled after " +
                                                    std::to_string(first_block + done) + " of " +
                                                    std::to_string(header.blocks()) + " blocks");
      first_block += header.BlocksOf(section);
    }
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, path.string() + ": no memory to verify it");
  }
  return InfoOf(header);
}

}  // namespace shoal
