// Vectors with ids as text and in files: what `shoal insert` reads and `shoal search` writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "apps/shoal/lines.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal::apps {

// How vectors are written down. kAuto: what the file's suffix says; of standard input, JSON lines.
//   kJsonl  {"id": 7, "vector": [1, 2]}, or [1, 2] alone, one a line
//   kCsv    7,1,2: the id, then the elements, or as a heading says (Columns); a first line that
//           begins with no number is left out
//   kNpy, kFvecs, kBvecs, kBin   rows without ids (read from standard input, too)
enum class Format { kAuto, kJsonl, kCsv, kNpy, kFvecs, kBvecs, kBin };

struct ReadRowsOptions {
  Format format = Format::kAuto;
  ScalarType type = ScalarType::kFloat32;
  size_t dim = 0;
  uint64_t first_id = 0;           // Of rows that have none: counted up from here.
  std::filesystem::path ids = {};  // If not empty: the ids of rows that have none (ReadIds).
  bool bail = false;               // The first bad line is an error.
  bool ids_in_csv = true;          // false: lines of CSV are elements only.
  Columns columns = {};            // Of JSON lines and CSV.
};

// Rows of an input. A line that is wrong is none of them.
struct RowsRead {
  struct BadLine {
    size_t line = 0;  // From 1.
    std::string reason;
  };
  std::vector<uint64_t> ids;
  std::vector<std::byte> elements;  // ids.size() x dim, row-major.
  std::vector<size_t> lines;        // Of each row; empty: the rows have none.
  std::vector<BadLine> bad;
  MatrixView view(ScalarType type, size_t dim) const {
    return {elements.data(), type, ids.size(), dim};
  }
};

// `input`: a path, or "-" for standard input. FileNotFound, Io, Corrupt; InvalidArgument: another
// type or dimension in a binary file; a bad line, with `bail`.
Result<RowsRead> ReadRows(const std::string& input, const ReadRowsOptions& options);

// "1,2,3" or "[1, 2, 3]" as a vector. InvalidArgument.
Result<std::vector<std::byte>> ParseVector(std::string_view text, ScalarType type, size_t dim);

// "1,2,3": the elements of a vector, floats with up to 9 digits.
std::string ElementsText(VectorView vector);

// Ids in decimal, one a line, of a file or "-", or those of an .npy of ids. InvalidArgument names
// the line.
Result<std::vector<uint64_t>> ReadIds(const std::string& input);

}  // namespace shoal::apps
