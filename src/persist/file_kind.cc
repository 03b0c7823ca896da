#include "persist/file_kind.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "persist/snapshot_file.h"

namespace shoal {
namespace {

struct Magic {
  std::string_view bytes;
  std::string_view kind;
};

constexpr Magic kMagics[] = {
    {"\x93NUMPY", "NumPy's .npy (npy_to_bin makes a .bin of it)"},
    {"\x89HDF\r\n\x1a\n", "HDF5 (the jobs of shoal-bench read it)"},
    {kSnapshotMagic, "a snapshot of a shoal index (Index::Load and snapshot_info read it)"},
    {"\x1f\x8b", "gzip (gunzip unpacks it)"},
};

// Whether up to 64 rows, spread over the file, begin with the dimension that the first begins with.
bool IsVecs(const InputFile& file, size_t element, int32_t dim) {
  constexpr uint64_t kSamples = 64;
  const uint64_t row = sizeof(dim) + static_cast<uint64_t>(dim) * element;
  const uint64_t rows = file.size() / row;
  if (file.size() % row != 0 || rows < 2) return false;
  const uint64_t samples = std::min(kSamples, rows);
  for (uint64_t i = 0; i < samples; ++i) {
    int32_t found = 0;
    const uint64_t at = i * (rows - 1) / (samples - 1) * row;
    if (!file.ReadAt(at, &found, sizeof(found), "dimension") || found != dim) return false;
  }
  return true;
}

}  // namespace

std::optional<std::string> RecognizeFile(const InputFile& file) {
  std::array<char, 8> head = {};
  const size_t there = std::min<uint64_t>(head.size(), file.size());
  if (!file.ReadAt(0, head.data(), there, "head")) return std::nullopt;
  for (const Magic& magic : kMagics) {
    if (std::string_view(head.data(), there).starts_with(magic.bytes)) {
      return std::string(magic.kind);
    }
  }
  uint64_t bytes = 0;
  std::memcpy(&bytes, head.data(), sizeof(bytes));
  if (there == sizeof(bytes) && bytes == file.size()) {
    return "the graph of a DiskANN index (its vectors are in the file of this name with .data)";
  }
  int32_t dim = 0;
  std::memcpy(&dim, head.data(), sizeof(dim));
  if (dim < 1) return std::nullopt;
  const std::string rows = "rows of " + std::to_string(dim);
  if (IsVecs(file, sizeof(float), dim))
    return ".fvecs or .ivecs, " + rows + " (fvecs_to_bin float makes a .bin of .fvecs)";
  if (IsVecs(file, sizeof(uint8_t), dim))
    return ".bvecs, " + rows + " (bvecs_to_bin makes a .bin of it)";
  return std::nullopt;
}

tl::unexpected<Error> ExplainError(const InputFile& file, std::string_view expected, Error error) {
  if (error.code != ErrorCode::kCorrupt) return tl::unexpected(std::move(error));
  if (const auto found = RecognizeFile(file); found) {
    return Mismatch(ErrorCode::kCorrupt, file.path(), "format", expected, *found);
  }
  return tl::unexpected(std::move(error));
}

}  // namespace shoal
