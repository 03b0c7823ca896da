#include "persist/snapshot_labels.h"

#include <algorithm>
#include <functional>

namespace shoal {

Status CheckLabels(const SnapshotReader& reader, const SnapshotLabels& labels,
                   std::span<const std::byte> block) {
  const uint64_t points = reader.header().points;
  const uint64_t most = (block.size() - points * sizeof(uint64_t)) / sizeof(uint32_t);
  uint64_t before = 0;
  for (uint64_t point = 0; point < points; ++point) {
    uint64_t end = 0;
    std::memcpy(&end, block.data() + point * sizeof(end), sizeof(end));
    const auto broken = [&](const std::string& expected, const std::string& found) {
      return reader.Broken(SnapshotSection::kLabels, 0, point * sizeof(end),
                           "point " + std::to_string(point), expected, found);
    };
    if (end < before || end > most)
      return broken("an end from " + std::to_string(before) + " to " + std::to_string(most),
                    std::to_string(end));
    before = end;
    const std::span<const uint32_t> own = labels.Of(point);
    if (std::adjacent_find(own.begin(), own.end(), std::greater_equal<>()) != own.end())
      return broken("ascending labels", "others");
  }
  return {};
}

}  // namespace shoal
