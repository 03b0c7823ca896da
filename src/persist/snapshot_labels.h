// The labels of a snapshot's points: one block (snapshot_file.h).
//
//   u64 end of each point's labels, counted in labels | u32 labels of all points | zeros up to a
//   page
//
// Those of a point are ascending, each once.
#pragma once

#include <span>
#include <vector>

#include "persist/snapshot_file.h"

namespace shoal {

// What a block that is mapped says. A damaged file gives wrong labels, never a wild read.
class SnapshotLabels {
 public:
  SnapshotLabels() = default;
  // `block`: begins at a page. `bytes` has room for `points` ends.
  SnapshotLabels(const std::byte* block, size_t bytes, uint64_t points)
      : ends_(reinterpret_cast<const uint64_t*>(block)),
        labels_(reinterpret_cast<const uint32_t*>(block + points * sizeof(uint64_t))),
        most_((bytes - points * sizeof(uint64_t)) / sizeof(uint32_t)) {}

  std::span<const uint32_t> Of(uint64_t point) const {
    if (ends_ == nullptr) return {};
    const uint64_t begin = point == 0 ? 0 : ends_[point - 1];
    const uint64_t end = ends_[point];
    if (begin > end || end > most_) return {};
    return {labels_ + begin, labels_ + end};
  }

 private:
  const uint64_t* ends_ = nullptr;  // Null: no point has labels.
  const uint32_t* labels_ = nullptr;
  uint64_t most_ = 0;
};

// The block, whole pages, of points that have these labels: labels_of(point). Empty: none has any.
template <class LabelsOf>
std::vector<std::byte> MakeLabelBlock(uint64_t points, const LabelsOf& labels_of) {
  std::vector<std::byte> block, labels;
  uint64_t end = 0;
  for (uint64_t point = 0; point < points; ++point) {
    const std::span<const uint32_t> own = labels_of(point);
    for (const uint32_t label : own) PutNumber(labels, label);
    PutNumber(block, end += own.size());
  }
  if (end == 0) return {};
  block.insert(block.end(), labels.begin(), labels.end());
  block.resize(RoundUp(block.size(), kSnapshotPage));
  return block;
}

// Of a block that was read: Corrupt, unless the ends ascend and a point's labels do.
Status CheckLabels(const SnapshotReader& reader, const SnapshotLabels& labels,
                   std::span<const std::byte> block);

}  // namespace shoal
