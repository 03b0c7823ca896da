// Codes beside the lists: with each neighbour list the rows of its points, as the index's code
// encodes them, so that one hop reads one piece of memory. The record of a list is then
//
//   max_degree u32: points, then kNoSlot | zeros up to a cache line
//   | the row of each point, in the list's order | zeros up to a cache line
//
// All of it follows from the lists and the rows. (Iwasaki's NGT-QG; Gou et al., "SymphonyQG",
// SIGMOD 2025, section 3. Deviations: 1. rows are those of the index, about one centre, and any
// code will do; 2. they are not transposed, so that the scorers of gathered rows score them.)
#pragma once

#include <cstring>

#include "base/file.h"
#include "base/memory.h"
#include "persist/snapshot_file.h"

namespace shoal {

// Writes the rows beside the list that `record` begins with; what is behind it is zero. row_of(i):
// the row of entry i. A word that is no entry ends the list.
template <class RowOf>
void FillListCodes(const SnapshotHeader& header, const RowOf& row_of, std::byte* record) {
  const size_t row_bytes = header.traversal.row_bytes;
  const std::byte* rows[kMaxDegree];
  size_t n = 0;
  for (; n < header.options.max_degree; ++n) {
    SlotId entry = 0;
    std::memcpy(&entry, record + n * sizeof(entry), sizeof(entry));
    if (entry >= header.entries()) break;
    rows[n] = row_of(entry);
    for (size_t at = 0; at < row_bytes; at += kCacheLine) {
      __builtin_prefetch(rows[n] + at);
      std::atomic_signal_fence(std::memory_order_seq_cst);  // Or g++ 12 keeps the first alone.
    }
  }
  std::byte* const codes = record + header.ListCodesAt();
  for (size_t i = 0; i < n; ++i) std::memcpy(codes + i * row_bytes, rows[i], row_bytes);
}

// The records of `plain`'s lists with rows beside them, in memory of their own: one behind the
// other, of the size that a header with has_list_codes says. `file`: all of the bytes of the file
// whose header `plain` is. OutOfMemory.
Result<Reservation> MakeListCodes(const SnapshotHeader& plain, const std::byte* file,
                                  size_t threads);

// Of block `block` of the lists, whose checksum was compared and whose bytes are `records`: Corrupt
// unless the rows beside each list are those of its points.
Status CheckListCodes(const SnapshotReader& reader, const MappedFile& file, size_t block,
                      const std::vector<std::byte>& records);

}  // namespace shoal
