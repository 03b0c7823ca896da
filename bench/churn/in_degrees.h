// How many lists name each point, as the graph that an index writes says.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <unordered_map>
#include <vector>

#include "need.h"
#include "shoal/diskann_files.h"
#include "shoal/index.h"

namespace shoal::bench {

// By id. Writes files that begin with `prefix` and removes them.
inline std::unordered_map<ExternalId, uint32_t> InDegrees(const Index& index,
                                                          const std::filesystem::path& prefix) {
  // Row i is the i-th smallest id (docs/file_formats.md): a header of 24 bytes, then for each row
  // how many neighbours it has, and which.
  Need(SaveDiskann(index, prefix));
  std::vector<ExternalId> ids = Need(index.Ids());
  std::sort(ids.begin(), ids.end());
  std::vector<uint32_t> words((std::filesystem::file_size(prefix) - 24) / sizeof(uint32_t));
  std::ifstream file(prefix, std::ios::binary);
  file.seekg(24);
  if (!file.read(reinterpret_cast<char*>(words.data()),
                 static_cast<std::streamsize>(words.size() * sizeof(uint32_t))))
    Fail(prefix.string() + ": cannot be read");
  std::unordered_map<ExternalId, uint32_t> degrees(ids.size());
  for (const ExternalId id : ids) degrees[id] = 0;
  for (size_t at = 0; at < words.size();)
    for (uint32_t left = words[at++]; left > 0; --left) ++degrees[ids.at(words[at++])];
  std::filesystem::remove(prefix);
  std::filesystem::remove(prefix.string() + ".data");
  return degrees;
}

}  // namespace shoal::bench
