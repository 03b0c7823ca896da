// DiskANN's in-memory index files: `<prefix>` (graph), `<prefix>.data` (vectors) and, for dynamic
// indices, `<prefix>.tags` (ids). Layout: docs/file_formats.md. They have no checksum and no
// version: use them to exchange indices with DiskANN.
#pragma once

#include <filesystem>

#include "shoal/export.h"
#include "shoal/index.h"
#include "shoal/options.h"
#include "shoal/result.h"

namespace shoal {

struct DiskannSaveOptions {
  // true: with the start point as a frozen point and ids in .tags, as DiskANN's dynamic programs
  // do. false: as build_memory_index does; row i is then the i-th smallest id, and ids are lost.
  bool dynamic = false;
};

// Writes the three (two) files, each beside its target and renamed. Unsupported: an id that does
// not fit DiskANN's u32 tags or is 0, which DiskANN reserves (dynamic only); float16.
SHOAL_API Status SaveDiskann(const Index& index, const std::filesystem::path& prefix,
                             const DiskannSaveOptions& options = {});

struct DiskannLoadOptions {
  // dim and max_degree are taken from the files where they are 0 here; scalar_type and metric are
  // the caller's word, the files do not tell.
  IndexOptions index;
  // true: read `<prefix>.tags` and use the tags as ids. false: ids are row numbers.
  bool tags = false;
  // Threads, and progress in points, after the files have been read.
  BatchOptions batch = {};
};

// Reads an index that SaveDiskann or DiskANN wrote; it can be searched and inserted into at once.
// Corrupt names the file, the field, expected and found; an id out of range is found here, never
// in a search.
SHOAL_API Result<Index> LoadDiskann(const std::filesystem::path& prefix,
                                    const DiskannLoadOptions& options);

}  // namespace shoal
