#include "graph/fetched_rows.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "graph/search_scratch.h"

namespace shoal {

Status FetchRows(FeatureStore& store, FetchScratch& fetch, const std::byte** rows) {
  fetch.used = true;
  if (fetch.reader == nullptr) {
    Result<std::unique_ptr<FeatureReader>> reader = store.NewReader(SearchScratch::kMaxIds);
    if (!reader) return tl::unexpected(reader.error());
    fetch.reader = *std::move(reader);
  }
  const Result<size_t> found = fetch.reader->Fetch(fetch.keys, {rows, fetch.keys.size()});
  if (!found) return tl::unexpected(found.error());
  return {};
}

namespace {

// All are asked for before the first is read.
void FindInPlace(const FeatureAddresses& at, std::span<const FeatureKey> keys,
                 const std::byte** rows) {
  for (size_t i = 0; i < keys.size(); ++i) {
    const std::byte* const base =
        at.segments[keys[i].slot >> at.shift].load(std::memory_order_acquire);
    rows[i] = base + (keys[i].slot & ((uint32_t{1} << at.shift) - 1)) * at.stride;
    __builtin_prefetch(rows[i]);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // Or g++ 12 keeps the first alone.
  }
}

}  // namespace

void FetchedRows::Fetch(FetchScratch& fetch, const std::byte** rows) const {
  if (fetch.keys.empty()) return;
  fetch.used = true;
  if (addresses_) return FindInPlace(*addresses_, fetch.keys, rows);
  fetch.status = FetchRows(store_, fetch, rows);
  if (!fetch.status) std::fill_n(rows, fetch.keys.size(), nullptr);
}

size_t FetchedRows::Keep(SlotId* slots, bool* eligible, size_t n, const std::byte** rows,
                         FetchScratch& fetch) const {
  const std::byte* fetched[SearchScratch::kMaxIds];
  fetch.keys.clear();
  for (size_t i = 0; i < n && !fetch.blind(); ++i)
    if (!IsStart(slots[i])) fetch.keys.push_back({slots[i], slots_.external_id(slots[i])});
  Fetch(fetch, fetched);
  const bool must_complete = codec_.row_bytes() != vector_bytes_;
  if (must_complete) fetch.rows.resize(SearchScratch::kMaxIds * codec_.row_bytes());
  size_t kept = 0;
  for (size_t i = 0, key = 0; i < n; ++i) {
    const bool is_start = IsStart(slots[i]);
    if (!is_start && key == fetch.keys.size()) continue;  // Nothing was fetched.
    const std::byte* row = is_start ? origin() : fetched[key++];
    if (row == nullptr) continue;
    if (must_complete && !is_start) {
      std::byte* const completed = fetch.rows.data() + kept * codec_.row_bytes();
      std::memcpy(completed, row, vector_bytes_);
      codec_.Complete(completed);
      row = completed;
    }
    slots[kept] = slots[i];
    eligible[kept] = eligible[i];
    rows[kept++] = row;
  }
  return kept;
}

void FetchedRows::Find(const SlotId* slots, size_t n, const std::byte** rows,
                       FetchScratch& fetch) const {
  const std::byte* fetched[SearchScratch::kMaxIds];
  for (size_t begin = 0; begin < n;) {
    // Of those that are not there yet, as many as one fetch takes.
    fetch.keys.clear();
    size_t end = begin;
    for (; end < n && fetch.keys.size() < SearchScratch::kMaxIds; ++end) {
      const SlotId slot = slots[end];
      rows[end] = IsStart(slot) ? origin() : fetch.arena.Find(slot);
      if (rows[end] == nullptr && !fetch.blind())
        fetch.keys.push_back({slot, slots_.external_id(slot)});
    }
    Fetch(fetch, fetched);
    for (size_t i = begin, key = 0; i < end; ++i) {
      if (rows[i] != nullptr || key == fetch.keys.size()) continue;
      const std::byte* const vector = fetched[key++];
      rows[i] = fetch.arena.Find(slots[i]);  // A list that was copied torn may name it twice.
      if (rows[i] != nullptr || vector == nullptr) continue;
      std::byte* const row = fetch.arena.Add(slots[i], codec_.row_bytes());
      std::memcpy(row, vector, vector_bytes_);
      codec_.Complete(row);
      rows[i] = row;
    }
    begin = end;
  }
}

}  // namespace shoal
