#include "shoal/diskann_files.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/file.h"
#include "index_image.h"
#include "persist/diskann_format.h"

namespace shoal {
namespace {

constexpr uint32_t kMinDegree = 4;

// DiskANN compares float rows under cosine as if they had length 1, and does not make them so when
// it loads them.
void NormalizeRows(Matrix& rows) {
  for (size_t i = 0; i < rows.rows(); ++i) {
    auto* row = reinterpret_cast<float*>(rows.data() + i * rows.row_bytes());
    double sum = 0;
    for (size_t d = 0; d < rows.dim(); ++d) sum += double{row[d]} * row[d];
    if (sum == 0) continue;
    const double scale = 1 / std::sqrt(sum);
    for (size_t d = 0; d < rows.dim(); ++d) row[d] = static_cast<float>(row[d] * scale);
  }
}

}  // namespace

Status SaveDiskann(const Index& index, const std::filesystem::path& prefix,
                   const DiskannSaveOptions& options) {
  if (index.options().scalar_type == ScalarType::kFloat16) {
    return Mismatch(ErrorCode::kUnsupported, prefix, "element type", "float32, int8, uint8 or bit",
                    "float16");
  }
  auto image = ExportGraph(index, options.dynamic);
  if (!image) {
    return MakeError(image.error().code, prefix.string() + ": " + image.error().message);
  }
  if (index.options().metric == Metric::kCosine &&
      index.options().scalar_type == ScalarType::kFloat32) {
    NormalizeRows(image->rows);
  }
  return WriteDiskann(prefix, *image);
}

Result<Index> LoadDiskann(const std::filesystem::path& prefix, const DiskannLoadOptions& options) {
  auto image = ReadDiskann(prefix, options.index.scalar_type, options.tags);
  if (!image) return tl::unexpected(image.error());
  IndexOptions index = options.index;
  const auto dim = static_cast<uint32_t>(image->rows.dim());
  if (index.dim != 0 && index.dim != dim) {
    return Mismatch(ErrorCode::kInvalidArgument, DiskannPaths(prefix).data, "dimension",
                    std::to_string(index.dim), std::to_string(dim));
  }
  index.dim = dim;
  if (index.max_degree == 0) {
    index.max_degree =
        std::clamp(static_cast<uint32_t>(image->MaxDegree()), kMinDegree, kMaxDegree);
  }
  auto loaded = ImportGraph(index, std::move(*image), options.batch);
  if (!loaded) {
    return MakeError(loaded.error().code, prefix.string() + ": " + loaded.error().message);
  }
  return loaded;
}

}  // namespace shoal
