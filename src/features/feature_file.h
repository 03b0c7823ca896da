// The file in which the mapped and the disk store keep rows: a header of one page, then the records
// of slots 0, 1, 2, ... docs/file_formats.md has it byte by byte.
//
// A record is a row, zeros up to a multiple of 16, and 16 bytes that say whose row it is: the id, a
// mark that the slot was put at all, and a checksum of row, id and slot. So a row that is lost is
// told from one that is damaged, and no row is taken for another's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "base/round.h"
#include "base/updatable_file.h"
#include "shoal/feature_store.h"

namespace shoal {

class FeatureFile {
 public:
  static constexpr size_t kHeaderBytes = 4096;
  static constexpr size_t kTailBytes = 16;
  static constexpr size_t kMaxRowBytes = size_t{kMaxDim} * sizeof(float);

  // The errors of OpenMmapFeatures.
  static Result<FeatureFile> Open(const std::filesystem::path& path, size_t row_bytes);

  UpdatableFile& file() { return file_; }
  const UpdatableFile& file() const { return file_; }
  size_t row_bytes() const { return row_bytes_; }
  size_t stride() const { return stride_; }
  uint64_t OffsetOf(uint32_t slot) const { return kHeaderBytes + uint64_t{slot} * stride_; }

  // Makes `record`, stride() bytes, that of the row.
  void Fill(FeatureKey key, const std::byte* row, std::byte* record) const;
  // Whether `record` has the row of the key. Corrupt: its checksum is wrong.
  Result<bool> Has(FeatureKey key, const std::byte* record) const;

 private:
  struct Tail;
  FeatureFile(UpdatableFile file, size_t row_bytes)
      : file_(std::move(file)),
        row_bytes_(row_bytes),
        stride_(RoundUp(row_bytes + kTailBytes, kTailBytes)) {}
  Status WriteHeader();
  Status CheckHeader() const;

  UpdatableFile file_;
  size_t row_bytes_;
  size_t stride_;
};

}  // namespace shoal
