#include "apps/common/convert.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/common/progress.h"
#include "shoal/dataset.h"

namespace shoal::apps {

Status ConvertVecsToBin(const std::filesystem::path& in, ScalarType type,
                        const std::filesystem::path& out) {
  constexpr size_t kBlockBytes = size_t{16} << 20;
  const auto shape = ReadVecsShape(in, type);
  if (!shape) return tl::unexpected(shape.error());
  fmt::print("Dataset: #pts = {}, # dims = {}\n", shape->rows, shape->dim);
  auto writer = BinWriter::Create(out, type, shape->rows, shape->dim);
  if (!writer) return tl::unexpected(writer.error());
  const size_t block = std::max<size_t>(kBlockBytes / (shape->dim * ScalarSize(type)), 1);
  Progress progress("Converting", "rows", shape->rows);
  for (size_t first = 0; first < shape->rows; first += block) {
    const auto rows = ReadVecs(in, type, {.first_row = first, .max_rows = block});
    if (!rows) return tl::unexpected(rows.error());
    if (auto ok = writer->Append(*rows); !ok) return ok;
    progress.Update(first + rows->rows());
  }
  if (auto ok = writer->Commit(); !ok) return ok;
  fmt::print("Written: {}\n", out.string());
  return {};
}

}  // namespace shoal::apps
