// Inspects a file that Index::Save wrote, without loading it. Layout: docs/file_formats.md.
#pragma once

#include <cstdint>
#include <filesystem>

#include "shoal/export.h"
#include "shoal/options.h"
#include "shoal/result.h"

namespace shoal {

struct SnapshotInfo {
  uint32_t format_version = 0;
  // The file's. `runtime` has its defaults: no file has it.
  IndexOptions options;
  uint64_t points = 0;
  uint64_t edges = 0;
  uint64_t bytes = 0;  // Of the file.
  // False: they are in the index's feature store (Index::SaveWithoutVectors, SaveToFeatures).
  bool has_vectors = true;
  // Whether lists have the codes of their points beside them (SaveOptions).
  bool has_list_codes = false;
};

// Reads the header, and checks its checksum and the file's size. FileNotFound. Io. Corrupt: no
// snapshot, cut off, or damaged in its header. Unsupported: another version of the format.
SHOAL_API Result<SnapshotInfo> InspectSnapshot(const std::filesystem::path& path);

// Reads the whole file and compares every checksum, on several threads, in little memory. Errors
// as above; Corrupt names the section and the offset of the first damaged block.
SHOAL_API Result<SnapshotInfo> VerifySnapshot(const std::filesystem::path& path,
                                              const BatchOptions& batch = {});

}  // namespace shoal
