// The text in front of a .npy file's numbers: a Python dictionary of three known keys.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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

}  // namespace shoal
