#include "persist/diskann_format.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/file.h"
#include "persist/dataset_checks.h"

namespace shoal {
namespace {

struct GraphHeader {
  uint64_t file_bytes = 0;
  uint32_t max_degree = 0;
  uint32_t start = 0;
  uint64_t frozen_points = 0;
};
static_assert(sizeof(GraphHeader) == 24);

Status WriteGraph(OutputFile& file, const GraphImage& image) {
  const GraphHeader header = {
      .file_bytes = sizeof(GraphHeader) + 4 * (image.nodes() + image.neighbors.size()),
      .max_degree = static_cast<uint32_t>(image.MaxDegree()),
      .start = image.start,
      .frozen_points = image.start_points};
  if (auto ok = file.Append(&header, sizeof(header)); !ok) return ok;
  for (size_t i = 0; i < image.nodes(); ++i) {
    const auto list = image.List(i);
    const auto k = static_cast<uint32_t>(list.size());
    if (auto ok = file.Append(&k, sizeof(k)); !ok) return ok;
    if (auto ok = file.Append(list.data(), list.size_bytes()); !ok) return ok;
  }
  return file.Finish();
}

// A .bin: header and one block.
Status WriteRows(OutputFile& file, const Matrix& rows) {
  if (auto ok = AppendBinHeader(file, rows.type(), rows.rows(), rows.dim()); !ok) return ok;
  if (auto ok = file.Append(rows.data(), rows.rows() * rows.row_bytes()); !ok) return ok;
  return file.Finish();
}

// Likewise, of one column.
Status WriteTags(OutputFile& file, std::span<const uint32_t> tags) {
  const int32_t header[2] = {static_cast<int32_t>(tags.size()), 1};
  if (auto ok = file.Append(header, sizeof(header)); !ok) return ok;
  if (auto ok = file.Append(tags.data(), tags.size_bytes()); !ok) return ok;
  return file.Finish();
}

// One tag a node, 0 for the start points.
Result<std::vector<uint32_t>> TagsOf(const std::filesystem::path& path, const GraphImage& image) {
  std::vector<uint32_t> tags;
  if (auto ok = TryResize(path, tags, image.nodes()); !ok) return tl::unexpected(ok.error());
  for (size_t i = 0; i < image.points(); ++i) {
    const ExternalId id = image.ids[i];
    if (id == 0 || id > std::numeric_limits<uint32_t>::max()) {
      return Mismatch(ErrorCode::kUnsupported, path, "id",
                      "1 to 4294967295 (DiskANN's tags are 32 bits wide, and 0 is reserved)",
                      std::to_string(id));
    }
    tags[i] = static_cast<uint32_t>(id);
  }
  return tags;
}

Status CheckWritableImage(const DiskannPaths& paths, const GraphImage& image) {
  if (image.rows.type() == ScalarType::kFloat16) {
    return Mismatch(ErrorCode::kUnsupported, paths.data, "element type",
                    "float32, int8, uint8 or bit", "float16");
  }
  if (image.points() == 0) {
    return Mismatch(ErrorCode::kInvalidArgument, paths.graph, "points to write", "at least 1", "0");
  }
  if (auto ok = CheckWritable(paths.data, image.rows.rows(), image.rows.dim()); !ok) return ok;
  if (auto ok = CheckImage(image); !ok) {
    return MakeError(ErrorCode::kInvalidArgument, paths.graph.string() + ": " + ok.error().message);
  }
  return {};
}

Status RemoveIfThere(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::remove(path, error);
  if (!error) return {};
  return MakeError(ErrorCode::kIo, path.string() + ": cannot remove: " + error.message());
}

Result<GraphHeader> ReadGraphHeader(const InputFile& file, size_t nodes) {
  GraphHeader header;
  if (file.size() < sizeof(header)) {
    return Mismatch(ErrorCode::kCorrupt, file.path(), "size", "at least 24 bytes (the header)",
                    std::to_string(file.size()) + " bytes");
  }
  if (auto ok = file.ReadAt(0, &header, sizeof(header), "header"); !ok) {
    return tl::unexpected(ok.error());
  }
  if (header.file_bytes != file.size() || file.size() % 4 != 0) {
    return Mismatch(ErrorCode::kCorrupt, file.path(), "size",
                    std::to_string(header.file_bytes) + " bytes, a multiple of 4, by its header",
                    std::to_string(file.size()) + " bytes");
  }
  if (header.frozen_points >= nodes) {
    return Mismatch(ErrorCode::kCorrupt, file.path(), "frozen points",
                    "fewer than the " + std::to_string(nodes) + " rows of .data",
                    std::to_string(header.frozen_points));
  }
  if (header.start >= nodes) {
    return Mismatch(ErrorCode::kCorrupt, file.path(), "start",
                    "less than the " + std::to_string(nodes) + " rows of .data",
                    std::to_string(header.start));
  }
  return header;
}

// Turns `image.neighbors`, which holds the file's words (k, neighbours, k, neighbours, ...), into
// lists, in place: the end of the last list never overtakes the word that is read.
Status SplitLists(const std::filesystem::path& path, const GraphHeader& header, size_t nodes,
                  GraphImage& image) {
  std::vector<uint32_t>& words = image.neighbors;
  std::vector<uint32_t> last_seen;  // 1 + the last list that held the node.
  if (auto ok = TryResize(path, last_seen, nodes); !ok) return ok;
  if (auto ok = TryResize(path, image.offsets, nodes + 1); !ok) return ok;
  size_t in = 0;
  size_t out = 0;
  for (size_t i = 0; i < nodes; ++i) {
    if (in == words.size()) {
      return Mismatch(ErrorCode::kCorrupt, path, "nodes",
                      std::to_string(nodes) + " as .data has rows", std::to_string(i));
    }
    const std::string_view field = "neighbours of node ";
    const size_t k = words[in++];
    const size_t most = std::min<size_t>(header.max_degree, words.size() - in);
    if (k > most) {
      return Mismatch(ErrorCode::kCorrupt, path, std::string(field) + std::to_string(i),
                      "at most " + std::to_string(most) + " of them (longest list " +
                          std::to_string(header.max_degree) + ", " +
                          std::to_string(words.size() - in) + " numbers left in the file)",
                      std::to_string(k));
    }
    for (size_t end = in + k; in < end; ++in) {
      const uint32_t neighbor = words[in];
      if (neighbor >= nodes) {
        return Mismatch(ErrorCode::kCorrupt, path, std::string(field) + std::to_string(i),
                        "node numbers below " + std::to_string(nodes), std::to_string(neighbor));
      }
      if (neighbor == i || last_seen[neighbor] == i + 1) continue;
      last_seen[neighbor] = static_cast<uint32_t>(i + 1);
      words[out++] = neighbor;
    }
    image.offsets[i + 1] = out;
  }
  if (in != words.size()) {
    return Mismatch(ErrorCode::kCorrupt, path, "nodes",
                    std::to_string(nodes) + " as .data has rows",
                    "more: " + std::to_string(4 * (words.size() - in)) + " bytes behind the last");
  }
  words.resize(out);
  return {};
}

Status ReadGraph(const std::filesystem::path& path, GraphImage& image) {
  auto file = InputFile::Open(path);
  if (!file) return tl::unexpected(file.error());
  const size_t nodes = image.rows.rows();
  auto header = ReadGraphHeader(*file, nodes);
  if (!header) return tl::unexpected(header.error());
  image.start = header->start;
  image.start_points = static_cast<uint32_t>(header->frozen_points);
  const size_t bytes = file->size() - sizeof(GraphHeader);
  Status ok = TryResize(path, image.neighbors, bytes / 4);
  if (ok) ok = file->ReadAt(sizeof(GraphHeader), image.neighbors.data(), bytes, "lists");
  if (ok) ok = SplitLists(path, *header, nodes, image);
  return ok;
}

Status ReadTags(const std::filesystem::path& path, GraphImage& image) {
  BinShape shape;
  auto tags = ReadIdBin(path, &shape);
  if (!tags) return tl::unexpected(tags.error());
  const size_t nodes = image.rows.rows();
  if (shape.rows != nodes || shape.dim != 1) {
    return Mismatch(ErrorCode::kCorrupt, path, "shape",
                    std::to_string(nodes) + " x 1 as .data has rows",
                    std::to_string(shape.rows) + " x " + std::to_string(shape.dim));
  }
  std::unordered_map<uint32_t, size_t> row_of;
  for (size_t i = 0; i < nodes; ++i) {
    const bool frozen = i >= image.points();
    const uint32_t tag = (*tags)[i];
    const std::string row = "tag of row " + std::to_string(i);
    if (frozen && tag != 0) {
      return Mismatch(ErrorCode::kCorrupt, path, row, "0, as for every frozen point",
                      std::to_string(tag));
    }
    if (frozen) continue;
    if (tag == 0 && image.start_points > 0) {
      return Mismatch(ErrorCode::kCorrupt, path, row, "at least 1 (0 marks a frozen point)", "0");
    }
    const auto [other, fresh] = row_of.emplace(tag, i);
    if (!fresh) {
      return Mismatch(ErrorCode::kCorrupt, path, row, "a tag of its own",
                      std::to_string(tag) + " as in row " + std::to_string(other->second));
    }
    image.ids[i] = tag;
  }
  return {};
}

}  // namespace

DiskannPaths::DiskannPaths(const std::filesystem::path& prefix)
    : graph(prefix), data(prefix), tags(prefix), deleted(prefix) {
  data += ".data";
  tags += ".tags";
  deleted += ".del";
}

Status WriteDiskann(const std::filesystem::path& prefix, const GraphImage& image) {
  const DiskannPaths paths(prefix);
  if (auto ok = CheckWritableImage(paths, image); !ok) return ok;
  std::vector<OutputFile> files;  // The graph last: without it the others are no index.
  auto data = OutputFile::Create(paths.data);
  if (!data) return tl::unexpected(data.error());
  Status ok = WriteRows(*data, image.rows);
  if (!ok) return ok;
  files.push_back(std::move(*data));
  if (image.start_points > 0) {
    auto tags = TagsOf(paths.tags, image);
    if (!tags) return tl::unexpected(tags.error());
    auto file = OutputFile::Create(paths.tags);
    if (!file) return tl::unexpected(file.error());
    ok = WriteTags(*file, *tags);
    if (!ok) return ok;
    files.push_back(std::move(*file));
  }
  auto graph = OutputFile::Create(paths.graph);
  if (!graph) return tl::unexpected(graph.error());
  if (ok = WriteGraph(*graph, image); !ok) return ok;
  files.push_back(std::move(*graph));
  if (image.start_points == 0) ok = RemoveIfThere(paths.tags);
  if (ok) ok = RemoveIfThere(paths.deleted);
  for (OutputFile& file : files) {
    if (ok) ok = file.Publish();
  }
  return ok;
}

Result<GraphImage> ReadDiskann(const std::filesystem::path& prefix, ScalarType type, bool tags) {
  const DiskannPaths paths(prefix);
  std::error_code ignored;
  if (std::filesystem::exists(paths.deleted, ignored)) {
    return Mismatch(ErrorCode::kUnsupported, paths.deleted, "deleted points",
                    "none (consolidate, then save)", "a file of them");
  }
  auto rows = ReadBin(paths.data, type);
  if (!rows) return tl::unexpected(rows.error());
  GraphImage image;
  image.rows = std::move(*rows);
  if (auto ok = ReadGraph(paths.graph, image); !ok) return tl::unexpected(ok.error());
  const size_t points = image.rows.rows() - image.start_points;
  if (auto ok = TryResize(paths.graph, image.ids, points); !ok) return tl::unexpected(ok.error());
  for (size_t i = 0; i < points; ++i) image.ids[i] = i;
  if (tags) {
    if (auto ok = ReadTags(paths.tags, image); !ok) return tl::unexpected(ok.error());
  }
  return image;
}

}  // namespace shoal
