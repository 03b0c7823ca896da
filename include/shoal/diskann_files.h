// DiskANN's in-memory index files: `<prefix>` (graph), `<prefix>.data` (vectors) and, for dynamic
// indices, `<prefix>.tags` (ids). Layout: docs/file_formats.md. They have no checksum and no
// version: use them only to exchange indices with DiskANN.
#pragma once

#include <filesystem>

#include "shoal/export.h"
#include "shoal/index.h"
#include "shoal/options.h"
#include "shoal/result.h"

namespace shoal {

struct DiskannSaveOptions {
  // true: as DiskANN's dynamic programs do, with the start point as a frozen point and ids in
  // .tags. false: as build_memory_index does; row i is the i-th smallest id, and ids are lost.
  bool dynamic = false;
};

// Writes the three files (two if not dynamic), each beside its target and renamed. Unsupported: no
// points; float16; if dynamic, an id that does not fit DiskANN's u32 tags or is 0, which DiskANN
// reserves.
SHOAL_API Status SaveDiskann(const Index& index, const std::filesystem::path& prefix,
                             const DiskannSaveOptions& options = {});

struct DiskannLoadOptions {
  // dim and max_degree come from the files where they are 0 here. scalar_type and metric are not in
  // the files.
  IndexOptions index;
  // true: read `<prefix>.tags` and use the tags as ids. false: ids are row numbers.
  bool tags = false;
  // Threads, and progress in points, once the files have been read.
  BatchOptions batch = {};
};

// Reads an index that SaveDiskann or DiskANN wrote. It can be searched and changed like any other.
// Corrupt names the file, the field, what was expected and what was found. An id out of range is
// found here, never in a search.
SHOAL_API Result<Index> LoadDiskann(const std::filesystem::path& prefix,
                                    const DiskannLoadOptions& options);

}  // namespace shoal
