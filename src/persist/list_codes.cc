#include "persist/list_codes.h"

#include <string>

#include "base/parallel.h"

namespace shoal {

Result<Reservation> MakeListCodes(const SnapshotHeader& plain, const std::byte* file,
                                  size_t threads) {
  SnapshotHeader header = plain;
  header.has_list_codes = 1;
  const size_t list_bytes = plain.RecordBytes(SnapshotSection::kLists);
  const size_t record_bytes = header.RecordBytes(SnapshotSection::kLists);
  const size_t bytes = header.entries() * record_bytes;
  Reservation records = Reservation::Reserve(bytes);
  MemoryBudget no_limit(0);
  if (bytes > 0 && (records.base() == nullptr || !records.Commit(bytes, no_limit)))
    return MakeError(ErrorCode::kOutOfMemory,
                     "codes beside the lists: no memory for " + std::to_string(bytes) + " bytes");
  const std::byte* const lists = file + plain.OffsetOf(SnapshotSection::kLists);
  const std::byte* const rows = file + plain.OffsetOf(SnapshotSection::kRows);
  const auto row_of = [&](SlotId entry) {
    return rows + size_t{entry} * plain.traversal.row_bytes;
  };
  constexpr size_t kGrain = 1024;
  ParallelFor(threads, header.entries(), kGrain, nullptr, [&](size_t begin, size_t end) {
    for (size_t entry = begin; entry < end; ++entry) {
      std::byte* const record = records.base() + entry * record_bytes;
      std::memcpy(record, lists + entry * list_bytes, list_bytes);
      FillListCodes(header, row_of, record);
    }
  });
  return records;
}

Status CheckListCodes(const SnapshotReader& reader, const MappedFile& file, size_t block,
                      const std::vector<std::byte>& records) {
  const SnapshotHeader& header = reader.header();
  const size_t record_bytes = header.RecordBytes(SnapshotSection::kLists);
  const std::byte* const rows = file.data() + header.OffsetOf(SnapshotSection::kRows);
  std::vector<std::byte> expected(record_bytes);
  const uint64_t first = header.FirstEntry(block);
  for (uint64_t entry = first; entry < header.FirstEntry(block + 1); ++entry) {
    const size_t at = static_cast<size_t>(entry - first) * record_bytes;
    std::fill(expected.begin(), expected.end(), std::byte{0});
    std::memcpy(expected.data(), records.data() + at, header.options.max_degree * sizeof(SlotId));
    FillListCodes(
        header, [&](SlotId i) { return rows + size_t{i} * header.traversal.row_bytes; },
        expected.data());
    if (std::memcmp(expected.data(), records.data() + at, record_bytes) == 0) continue;
    return reader.Broken(SnapshotSection::kLists, block, at,
                         "codes beside the list of entry " + std::to_string(entry),
                         "the rows of its points", "others");
  }
  return {};
}

}  // namespace shoal
