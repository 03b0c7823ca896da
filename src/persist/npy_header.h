// What is in front of a .npy file's numbers: "\x93NUMPY", major, minor, the header's length (u16 in
// version 1, u32 after), the header, a Python dictionary of three known keys.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "shoal/result.h"

namespace shoal {

struct NpyHeader {
  std::string descr;            // "<f4": byte order, kind, size.
  bool fortran_order = false;   // Column-major.
  std::vector<uint64_t> shape;  // One entry per axis.
};

// Parses "{'descr': '<f4', 'fortran_order': False, 'shape': (10, 128), }". Corrupt: the message
// names the field, what was expected and what was found, without the file.
Result<NpyHeader> ParseNpyHeader(std::string_view text);

// A file's header; `offset` becomes that of the first number. Corrupt. Unsupported. Io.
Result<NpyHeader> ReadNpyHeader(const InputFile& file, uint64_t* offset);

// All that is in front of the numbers, of version 1.0, in C order.
std::string NpyHead(std::string_view descr, const std::vector<uint64_t>& shape);

// "(2, 3)", "(2,)": as Python writes it.
std::string DescribeNpyShape(const std::vector<uint64_t>& shape);

}  // namespace shoal
