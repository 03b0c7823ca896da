#include "apps/common/convert.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/common/progress.h"

namespace shoal::apps {
namespace {

void PrintWritten(const std::filesystem::path& out, size_t rows, size_t dim, ScalarType type) {
  fmt::print("Written: {} ({} x {} {})\n", out.string(), rows, dim, ScalarTypeName(type));
}

}  // namespace

void Crop::Declare(CommandLine& line) {
  line.Optional(flags::kFirstRow, &first_row);
  line.Optional(flags::kMaxRows, &max_rows);
}

ReadOptions Crop::Options() const {
  return {.first_row = first_row, .max_rows = max_rows == 0 ? SIZE_MAX : max_rows};
}

Status ConvertVecsToBin(const std::filesystem::path& in, ScalarType type,
                        const std::filesystem::path& out, const Crop& crop) {
  constexpr size_t kBlockBytes = size_t{16} << 20;
  const auto shape = ReadVecsShape(in, type);
  if (!shape) return tl::unexpected(shape.error());
  const ReadOptions options = crop.Options();
  if (options.first_row >= shape->rows) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("--first_row: expected less than the {} rows of {}, found {}",
                                 shape->rows, in.string(), options.first_row));
  }
  const size_t count = std::min(options.max_rows, shape->rows - options.first_row);
  fmt::print("Dataset: #pts = {}, # dims = {}\n", shape->rows, shape->dim);
  auto writer = BinWriter::Create(out, type, count, shape->dim);
  if (!writer) return tl::unexpected(writer.error());
  const size_t block = std::max<size_t>(kBlockBytes / BytesOf(type, shape->dim), 1);
  Progress progress("Converting", "rows", count);
  for (size_t done = 0; done < count; done += block) {
    const auto rows = ReadVecs(
        in, type,
        {.first_row = options.first_row + done, .max_rows = std::min(block, count - done)});
    if (!rows) return tl::unexpected(rows.error());
    if (auto ok = writer->Append(*rows); !ok) return ok;
    progress.Update(done + rows->rows());
  }
  if (auto ok = writer->Commit(); !ok) return ok;
  PrintWritten(out, count, shape->dim, type);
  return {};
}

Status ConvertNpyToBin(const std::filesystem::path& in, const std::filesystem::path& out,
                       const Crop& crop) {
  const auto rows = ReadNpy(in, crop.Options());
  if (!rows) return tl::unexpected(rows.error());
  if (auto ok = WriteBin(out, *rows); !ok) return ok;
  PrintWritten(out, rows->rows(), rows->dim(), rows->type());
  return {};
}

}  // namespace shoal::apps
