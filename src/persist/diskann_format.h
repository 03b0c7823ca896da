// DiskANN's in-memory index files as images. Layout, little-endian, byte by byte in
// docs/file_formats.md:
//
//   <prefix>        u64 bytes of this file, u32 longest list, u32 start node, u64 frozen points,
//                   then for every node u32 k and k x u32 neighbours
//   <prefix>.data   .bin of (points + frozen points) x dim; the frozen points are last
//   <prefix>.tags   .bin of (points + frozen points) x 1 uint32; those of the frozen points are 0
//
// "Frozen point" is DiskANN's word for start point. No file says its type, metric or version.
#pragma once

#include <filesystem>

#include "persist/graph_image.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal {

struct DiskannPaths {
  explicit DiskannPaths(const std::filesystem::path& prefix);

  std::filesystem::path graph;
  std::filesystem::path data;
  std::filesystem::path tags;
  // The places of deleted points. DiskANN reads it but never comes to write it; we refuse it.
  std::filesystem::path deleted;
};

// Writes graph and data, and tags where the image has start points; without, an older .tags is
// removed, for it would be taken for part of this index. All files are on the disk before the first
// takes its place. Unsupported: float16, or an id that is 0 or more than 32 bits wide where there
// are tags. InvalidArgument: no points, or a broken image.
Status WriteDiskann(const std::filesystem::path& prefix, const GraphImage& image);

// Reads them; with `tags` the ids are the tags, else the row numbers. The result is a valid image
// (CheckImage) of finite rows, or the error names file, field, expected and found. Lists are read
// as sets: a neighbour that is named twice, or is the node itself, is left out.
Result<GraphImage> ReadDiskann(const std::filesystem::path& prefix, ScalarType type, bool tags);

}  // namespace shoal
