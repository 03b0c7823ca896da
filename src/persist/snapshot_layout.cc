// Where the sections of a snapshot are, and their blocks.
#include <bit>

#include "base/round.h"
#include "persist/snapshot_file.h"
#include "store/tag.h"

namespace shoal {

std::string_view SnapshotSectionName(SnapshotSection section) {
  constexpr std::string_view kNames[] = {"rows",  "rerank rows", "ids",        "slots",
                                         "lists", "labels",      "parameters", "seeds"};
  return kNames[static_cast<size_t>(section)];
}

size_t SnapshotHeader::BlocksOf(SnapshotSection section) const {
  switch (section) {
    case SnapshotSection::kRows: return traversal.row_bytes == 0 ? 0 : entry_blocks();
    case SnapshotSection::kRerankRows: return rerank.row_bytes == 0 ? 0 : entry_blocks();
    case SnapshotSection::kSlots: return has_slots == 0 ? 0 : entry_blocks();
    case SnapshotSection::kLabels: return label_pages == 0 ? 0 : 1;
    case SnapshotSection::kParameters: return parameter_bytes() == 0 ? 0 : 1;
    case SnapshotSection::kSeeds: return start_points;
    case SnapshotSection::kIds:
    case SnapshotSection::kLists: break;
  }
  return entry_blocks();
}

size_t SnapshotHeader::BlocksBefore(SnapshotSection section) const {
  size_t blocks = 0;
  for (const SnapshotSection before : kSnapshotSections) {
    if (before == section) break;
    blocks += BlocksOf(before);
  }
  return blocks;
}

size_t SnapshotHeader::RecordBytes(SnapshotSection section) const {
  switch (section) {
    case SnapshotSection::kRows: return traversal.row_bytes;
    case SnapshotSection::kRerankRows: return rerank.row_bytes;
    case SnapshotSection::kIds: return sizeof(ExternalId);
    case SnapshotSection::kSlots: return has_slots == 0 ? 0 : sizeof(SlotId);
    case SnapshotSection::kLists:
      if (has_list_codes == 0) return sizeof(SlotId) * options.max_degree;
      return RoundUp(ListCodesAt() + size_t{options.max_degree} * traversal.row_bytes, kCacheLine);
    case SnapshotSection::kLabels:
    case SnapshotSection::kParameters:
    case SnapshotSection::kSeeds: break;
  }
  return 0;
}

uint64_t SnapshotHeader::SectionBytes(SnapshotSection section) const {
  if (section == SnapshotSection::kLabels) return label_pages * kSnapshotPage;
  if (section == SnapshotSection::kParameters) return parameter_bytes();
  return RoundUp(entries() * RecordBytes(section), kSnapshotPage);
}

uint64_t SnapshotHeader::OffsetOf(SnapshotSection section) const {
  uint64_t offset = kSnapshotHeaderBytes;
  for (const SnapshotSection before : kSnapshotSections) {
    if (before == section) break;
    offset += SectionBytes(before);
  }
  return offset;
}

size_t SnapshotHeader::BlockBytes(SnapshotSection section, size_t block) const {
  const uint64_t begin = FirstEntry(block) * RecordBytes(section);
  const bool is_last = block + 1 == entry_blocks();
  return static_cast<size_t>(
      (is_last ? SectionBytes(section) : FirstEntry(block + 1) * RecordBytes(section)) - begin);
}

uint32_t SnapshotBlockPoints(const SnapshotHeader& header) {
  constexpr size_t kMegabyte = size_t{1} << 20;
  const IndexOptions& o = header.options;
  size_t most = std::max(BytesOf(o.scalar_type, o.dim), size_t{4} * (o.max_degree + 1));
  if (header.has_list_codes != 0)
    most = std::max(most, header.RecordBytes(SnapshotSection::kLists));
  return static_cast<uint32_t>(std::bit_floor(std::max<size_t>(1, kMegabyte / most)));
}

}  // namespace shoal
