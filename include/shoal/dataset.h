// Vectors and ids in files: DiskANN's .bin family, TEXMEX fvecs/bvecs/ivecs, NumPy's .npy, and
// truthsets.
//
// Readers check everything before they use it: an error is one line that names the file, the field,
// what was expected and what was found. Writers write beside the target and rename, so a file is
// there whole or not at all.
//
// What is read of a file by its path is read of a ByteSource likewise: of a pipe, say. Its bytes
// are gathered in memory first, and errors call it "stream". Those of the source are errors of the
// call. OutOfMemory.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shoal/exact.h"
#include "shoal/export.h"
#include "shoal/result.h"
#include "shoal/stream.h"
#include "shoal/types.h"

namespace shoal {

// rows x dim elements in its own memory: row-major, unpadded (rows of bits but for the last byte's
// rest), the first 64-byte aligned.
class SHOAL_API Matrix {
 public:
  Matrix() = default;
  // All elements are 0. OutOfMemory.
  static Result<Matrix> Create(ScalarType type, size_t rows, size_t dim);
  // The bits of a matrix of uint8, eight a byte as kBit has them: of an .npy file, say, that has
  // the result of numpy.packbits(bitorder="little"). dim: 0 for 8 times the columns, or less than
  // that by up to 7. InvalidArgument: another type, or a dimension that does not fit.
  static Result<Matrix> OfPackedBits(Matrix bytes, size_t dim = 0);

  ScalarType type() const { return type_; }
  size_t rows() const { return rows_; }
  size_t dim() const { return dim_; }
  size_t row_bytes() const { return BytesOf(type_, dim_); }
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  VectorView operator[](size_t i) const { return view()[i]; }
  MatrixView view() const { return {data_.get(), type_, rows_, dim_}; }
  operator MatrixView() const { return view(); }  // NOLINT(google-explicit-constructor)
  MutableMatrixView mutable_view() { return {data_.get(), type_, rows_, dim_}; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t rows_ = 0;
  size_t dim_ = 0;
  ScalarType type_ = ScalarType::kFloat32;
};

struct ReadOptions {
  // Read rows [first_row, first_row + max_rows); the whole file by default.
  size_t first_row = 0;
  size_t max_rows = SIZE_MAX;
  // Refuse NaN and infinities, naming row and column.
  bool require_finite = true;
};

struct BinShape {
  size_t rows = 0;
  size_t dim = 0;
};

// .bin: uint32 rows, uint32 dim (both may be uint64 in a file that is read), then rows. The file
// does not have its type: the caller gives it, and the file's size must agree. Of bits, the second
// number may be that of bytes in a row (a file of uint8, usearch's .bbin: eight dimensions each) or
// the dimension; the size tells which (of 1: a byte). Both are read; the dimension is written where
// it is no multiple of 8.
SHOAL_API Result<BinShape> ReadBinShape(const std::filesystem::path& path, ScalarType type);
SHOAL_API Result<Matrix> ReadBin(const std::filesystem::path& path, ScalarType type,
                                 const ReadOptions& options = {});
SHOAL_API Result<Matrix> ReadBin(const ByteSource& source, ScalarType type,
                                 const ReadOptions& options = {});
// InvalidArgument: no rows, more than an int32 can count, or a dimension outside [1, kMaxDim].
SHOAL_API Status WriteBin(const std::filesystem::path& path, MatrixView rows);

// Writes a .bin that does not fit into memory, block by block. Destroyed before Commit, it leaves
// no new file, and an older file as it was. One thread at a time.
class SHOAL_API BinWriter {
 public:
  static Result<BinWriter> Create(const std::filesystem::path& path, ScalarType type, size_t rows,
                                  size_t dim);
  BinWriter(BinWriter&&) noexcept;
  BinWriter& operator=(BinWriter&&) noexcept;
  ~BinWriter();

  // The next rows. InvalidArgument: another type or dimension, or more rows than were announced.
  Status Append(MatrixView rows);
  // Puts the file in place. InvalidArgument: fewer rows than were announced. Call once.
  Status Commit();

 private:
  struct State;
  explicit BinWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// A .bin of uint32 with one column or more: tags, result ids. Row-major.
SHOAL_API Result<std::vector<uint32_t>> ReadIdBin(const std::filesystem::path& path,
                                                  BinShape* shape = nullptr);
SHOAL_API Status WriteIdBin(const std::filesystem::path& path, std::span<const uint32_t> ids,
                            size_t columns);

// fvecs (float32), bvecs (uint8; int8 on request; not float16 or bits): before each row its
// dimension as int32. The shape is that of the first row and the file's size; ReadVecs compares
// every row that it reads.
SHOAL_API Result<BinShape> ReadVecsShape(const std::filesystem::path& path, ScalarType type);
SHOAL_API Result<Matrix> ReadVecs(const std::filesystem::path& path, ScalarType type,
                                  const ReadOptions& options = {});
SHOAL_API Result<Matrix> ReadVecs(const ByteSource& source, ScalarType type,
                                  const ReadOptions& options = {});
SHOAL_API Status WriteVecs(const std::filesystem::path& path, MatrixView rows);
// ivecs: rows of uint32, the ground truth of TEXMEX sets. The result is row-major.
SHOAL_API Result<std::vector<uint32_t>> ReadIvecs(const std::filesystem::path& path,
                                                  BinShape* shape = nullptr);
// InvalidArgument: no ids, or columns that do not divide them.
SHOAL_API Status WriteIvecs(const std::filesystem::path& path, std::span<const uint32_t> ids,
                            size_t columns);

// .npy, versions 1 to 3: 2-d, C or Fortran order, little-endian float32, float16, int8, uint8, or
// float64, which is read as float32. Corrupt: a float64 beyond float32's range; names row and
// column. Written in C order, bits as uint8 (Matrix::OfPackedBits).
SHOAL_API Result<Matrix> ReadNpy(const std::filesystem::path& path,
                                 const ReadOptions& options = {});
SHOAL_API Result<Matrix> ReadNpy(const ByteSource& source, const ReadOptions& options = {});
SHOAL_API Status WriteNpy(const std::filesystem::path& path, MatrixView rows);
// .npy of ids. Read: 1-d, uint64, int64, uint32 or int32. Corrupt: a negative one; names the row.
// Written: uint64, 1-d or, with `columns`, 2-d. InvalidArgument: columns do not divide the ids.
SHOAL_API Result<std::vector<uint64_t>> ReadIdNpy(const std::filesystem::path& path);
SHOAL_API Result<std::vector<uint64_t>> ReadIdNpy(const ByteSource& source);
SHOAL_API Status WriteIdNpy(const std::filesystem::path& path, std::span<const uint64_t> ids,
                            size_t columns = 0);

struct TruthReadOptions {
  // Ids are row numbers below this; by default any number, as tags are.
  size_t points = SIZE_MAX;
  // The metric of distances in DiskANN's form, which are converted to shoal's: l2 squared; the
  // inner product itself, largest first (if they are smallest first, they are negated already); 2 -
  // 2 cos. By default they are shoal's already.
  std::optional<Metric> metric = std::nullopt;
};
// Truth set: int32 queries, int32 k, then queries x k uint32 ids, then as many float32 distances
// (absent in the ids-only variant). Ids of kNoNeighbor end a row. Corrupt also if it cannot be the
// truth of any data (CheckTruthSet); names query and position.
SHOAL_API Result<TruthSet> ReadTruthSet(const std::filesystem::path& path,
                                        const TruthReadOptions& options = {});
SHOAL_API Status WriteTruthSet(const std::filesystem::path& path, const TruthSet& truth);

}  // namespace shoal
