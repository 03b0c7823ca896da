// An index as a graph image, and back: between the engine and the file formats of others.
#pragma once

#include "persist/graph_image.h"
#include "shoal/index.h"

namespace shoal {

// The index as an image: with its start point (dynamic), rows in any order; or without (static),
// rows in ascending order of id, every point reachable from `start`.
Result<GraphImage> ExportGraph(const Index& index, bool dynamic);

// An index with the points, ids and edges of `image`, whose lists may be longer than
// options.max_degree and may lead into start points: they are pruned. options.dim is that of the
// image. `batch`: threads, and progress in points.
Result<Index> ImportGraph(const IndexOptions& options, GraphImage&& image,
                          const BatchOptions& batch = {});

}  // namespace shoal
