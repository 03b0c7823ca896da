// The checks of feature_store_conformance.h, and what they are made of.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "shoal/feature_store.h"

namespace shoal::testing {

struct FeatureStoreUnderTest {
  // At least 16.
  size_t row_bytes = 0;
  // An empty store; another one at each call.
  std::function<Result<std::unique_ptr<FeatureStore>>()> make;
  // Closes the store and opens what it has kept. Empty: it keeps nothing.
  std::function<Result<std::unique_ptr<FeatureStore>>(std::unique_ptr<FeatureStore>)> reopen = {};
  // Puts and fetches of the check with many threads.
  uint64_t concurrent_calls = 20000;
};

namespace conformance {

// Rows that certify themselves: every byte follows from key and version, and both are in the row.
class Row {
 public:
  Row(size_t bytes, FeatureKey key, uint32_t version) : bytes_(bytes) {
    std::memcpy(bytes_.data(), &key.id, sizeof(key.id));
    std::memcpy(bytes_.data() + 8, &key.slot, sizeof(key.slot));
    std::memcpy(bytes_.data() + 12, &version, sizeof(version));
    uint64_t state = (key.id * 31 + key.slot) * 0x9e3779b97f4a7c15u + version;
    for (size_t i = 16; i < bytes; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      bytes_[i] = static_cast<std::byte>(state >> 56);
    }
  }
  const std::byte* data() const { return bytes_.data(); }
  bool operator==(const std::byte* row) const {
    return row != nullptr && std::memcmp(row, bytes_.data(), bytes_.size()) == 0;
  }

 private:
  std::vector<std::byte> bytes_;
};

inline Status Broken(const std::string& what) { return MakeError(ErrorCode::kCorrupt, what); }

inline std::string Named(FeatureKey key) {
  return "slot " + std::to_string(key.slot) + ", id " + std::to_string(key.id);
}

// A new store with two readers.
class Bench {
 public:
  static constexpr size_t kMaxRows = 64;

  static Result<Bench> Make(const FeatureStoreUnderTest& test, uint32_t slots) {
    Result<std::unique_ptr<FeatureStore>> store = test.make();
    if (!store) return tl::unexpected(store.error());
    Bench bench;
    bench.store = *std::move(store);
    if (bench.store->row_bytes() != test.row_bytes)
      return tl::unexpected(Broken("row_bytes() is not that of the test").error());
    if (Status grown = bench.store->Grow(slots); !grown) return tl::unexpected(grown.error());
    if (Status made = bench.MakeReaders(); !made) return tl::unexpected(made.error());
    return bench;
  }

  Status MakeReaders() {
    for (auto& reader : readers) {
      Result<std::unique_ptr<FeatureReader>> made = store->NewReader(kMaxRows);
      if (!made) return tl::unexpected(made.error());
      reader = *std::move(made);
    }
    return {};
  }

  Row RowOf(FeatureKey key, uint32_t version = 0) const {
    return {store->row_bytes(), key, version};
  }
  Status Put(FeatureKey key, uint32_t version = 0) {
    return store->Put(key, RowOf(key, version).data());
  }
  Status PutAll(const std::vector<FeatureKey>& keys) {
    for (const FeatureKey key : keys)
      if (Status put = Put(key); !put) return put;
    return {};
  }

  // Fetches keys with one call and leaves the rows in `rows`. Broken: the count is not that of the
  // rows that are there.
  Status Fetch(const std::vector<FeatureKey>& keys, size_t reader = 0) {
    rows.assign(keys.size(), nullptr);
    const Result<size_t> found = readers.at(reader)->Fetch(keys, rows);
    if (!found) return tl::unexpected(found.error());
    size_t there = 0;
    for (const std::byte* row : rows) there += row != nullptr ? 1 : 0;
    if (*found == there) return {};
    return Broken("Fetch returned " + std::to_string(*found) + " for " + std::to_string(there) +
                  " rows");
  }
  // Broken: rows are not those of these keys, as they were put with this version.
  Status Compare(const std::vector<FeatureKey>& keys, uint32_t version = 0) const {
    for (size_t i = 0; i < keys.size(); ++i)
      if (!(RowOf(keys[i], version) == rows[i]))
        return Broken(Named(keys[i]) + (rows[i] == nullptr ? ": no row" : ": another row"));
    return {};
  }
  Status FetchAndCompare(const std::vector<FeatureKey>& keys, size_t reader = 0,
                         uint32_t version = 0) {
    if (Status fetched = Fetch(keys, reader); !fetched) return fetched;
    return Compare(keys, version);
  }

  std::unique_ptr<FeatureStore> store;  // Before the readers: it dies after them.
  std::array<std::unique_ptr<FeatureReader>, 2> readers;
  std::vector<const std::byte*> rows;  // Of the last Fetch.
};

// Keys of slots [begin, end); ids are spread, and not in the order of the slots.
inline std::vector<FeatureKey> Keys(uint32_t begin, uint32_t end) {
  std::vector<FeatureKey> keys;
  for (uint32_t slot = begin; slot < end; ++slot)
    keys.push_back({slot, (uint64_t{slot} + 1) * 0x9e3779b97f4a7c15u});
  return keys;
}

#define SHOAL_CONFORMANCE_TRY(call) \
  if (Status tried = (call); !tried) return tried

inline Status AllRowsOfAFetchStandTogether(const FeatureStoreUnderTest& test) {
  Result<Bench> bench = Bench::Make(test, Bench::kMaxRows);
  if (!bench) return tl::unexpected(bench.error());
  std::vector<FeatureKey> keys = Keys(0, Bench::kMaxRows);
  SHOAL_CONFORMANCE_TRY(bench->PutAll(keys));
  SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare(keys));
  std::reverse(keys.begin(), keys.end());
  SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare(keys));
  return bench->FetchAndCompare({keys[3], keys[1], keys[3]});
}

inline Status RowsStandWhileOthersAreFetchedPutFreedAndGrown(const FeatureStoreUnderTest& test) {
  constexpr uint32_t kSlots = 64;
  Result<Bench> bench = Bench::Make(test, kSlots);
  if (!bench) return tl::unexpected(bench.error());
  const std::vector<FeatureKey> held = Keys(0, 16), others = Keys(16, kSlots);
  SHOAL_CONFORMANCE_TRY(bench->PutAll(held));
  SHOAL_CONFORMANCE_TRY(bench->PutAll(others));
  SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare(held, 0));
  const std::vector<const std::byte*> rows = bench->rows;
  SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare(others, 1));
  for (const FeatureKey key : others) bench->store->Free(key);
  SHOAL_CONFORMANCE_TRY(bench->store->Grow(100 * kSlots));
  const std::vector<FeatureKey> more = Keys(kSlots, 100 * kSlots);
  SHOAL_CONFORMANCE_TRY(bench->PutAll({more.begin(), more.begin() + 64}));
  SHOAL_CONFORMANCE_TRY(bench->Put(more.back()));
  SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare({more.back(), more.front()}, 1));
  bench->rows = rows;
  return bench->Compare(held);
}

// Both readers have read all pages, and what is beside the new rows, before.
inline Status EveryReaderSeesAPutThatReturned(const FeatureStoreUnderTest& test) {
  Result<Bench> bench = Bench::Make(test, Bench::kMaxRows);
  if (!bench) return tl::unexpected(bench.error());
  const std::vector<FeatureKey> keys = Keys(0, Bench::kMaxRows);
  SHOAL_CONFORMANCE_TRY(bench->PutAll(keys));
  for (uint32_t version = 1; version < 8; ++version) {
    for (size_t reader = 0; reader < 2; ++reader)
      SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare(keys, reader, version - 1));
    for (const FeatureKey key : keys) SHOAL_CONFORMANCE_TRY(bench->Put(key, version));
  }
  return bench->FetchAndCompare(keys, 1, 7);
}

inline Status MissingRowsAreLeftOutAndTheOthersKeepTheirPlaces(const FeatureStoreUnderTest& test) {
  Result<Bench> bench = Bench::Make(test, 8);
  if (!bench) return tl::unexpected(bench.error());
  const std::vector<FeatureKey> keys = Keys(0, 8);
  SHOAL_CONFORMANCE_TRY(bench->PutAll({keys[1], keys[4]}));
  const FeatureKey other_id = {keys[4].slot, 17};
  SHOAL_CONFORMANCE_TRY(bench->Fetch({keys[0], keys[1], other_id, keys[4], keys[7]}));
  const auto& rows = bench->rows;
  if (rows[0] != nullptr || rows[4] != nullptr) return Broken("a row that was never put");
  if (rows[2] != nullptr) return Broken("a row for another id of its slot");
  if (!(bench->RowOf(keys[1]) == rows[1] && bench->RowOf(keys[4]) == rows[3]))
    return Broken("rows beside missing ones are not in their places");
  SHOAL_CONFORMANCE_TRY(bench->Fetch({keys[0]}));
  return bench->Fetch({});
}

inline Status AFreedSlotIsUsedAgainAndGivesNoRowUnderItsFormerId(
    const FeatureStoreUnderTest& test) {
  Result<Bench> bench = Bench::Make(test, 4);
  if (!bench) return tl::unexpected(bench.error());
  for (uint64_t id = 100; id < 140; ++id) {
    const FeatureKey key = {2, id}, former = {2, id - 1};
    SHOAL_CONFORMANCE_TRY(bench->Put(key));
    SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare({key}, id % 2));
    SHOAL_CONFORMANCE_TRY(bench->Fetch({former}));
    if (bench->rows[0] != nullptr) return Broken(Named(former) + ": a row after the slot's reuse");
    for (auto& reader : bench->readers) reader->Rest();
    bench->store->Free(key);
    bench->store->Free(key);  // There is no such row: nothing to do.
  }
  return {};
}

// As while an upsert is under way.
inline Status OneIdMayHaveTwoRows(const FeatureStoreUnderTest& test) {
  Result<Bench> bench = Bench::Make(test, 4);
  if (!bench) return tl::unexpected(bench.error());
  for (const uint64_t id : {uint64_t{7}, uint64_t{0}, ~uint64_t{0}}) {
    const FeatureKey former = {1, id}, next = {3, id};
    SHOAL_CONFORMANCE_TRY(bench->PutAll({former, next}));
    SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare({next, former}));
    for (auto& reader : bench->readers) reader->Rest();
    bench->store->Free(former);
    SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare({next}, 1));
  }
  return {};
}

inline Status RowsStayWhenTheStoreGrows(const FeatureStoreUnderTest& test) {
  Result<Bench> bench = Bench::Make(test, 8);
  if (!bench) return tl::unexpected(bench.error());
  std::vector<FeatureKey> keys = Keys(0, 8);
  SHOAL_CONFORMANCE_TRY(bench->PutAll(keys));
  for (uint32_t slots = 16; slots <= 16384; slots *= 4) {
    SHOAL_CONFORMANCE_TRY(bench->store->Grow(slots));
    keys.push_back(Keys(slots - 1, slots).front());
    SHOAL_CONFORMANCE_TRY(bench->Put(keys.back()));
    SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare(keys));
  }
  return bench->store->Grow(8);  // Fewer than there are: nothing to do.
}

// A view asks for what its file says.
inline Status ASlotThatNoGrowHasMadeUsableHasNoRow(const FeatureStoreUnderTest& test) {
  Result<Bench> bench = Bench::Make(test, 8);
  if (!bench) return tl::unexpected(bench.error());
  const std::vector<FeatureKey> keys = Keys(0, 8);
  SHOAL_CONFORMANCE_TRY(bench->PutAll(keys));
  for (const uint32_t slot : {uint32_t{9000}, uint32_t{1} << 24, ~uint32_t{0} - 1}) {
    SHOAL_CONFORMANCE_TRY(bench->Fetch({keys[2], {slot, 7}}));
    if (bench->rows[1] != nullptr) return Broken(Named({slot, 7}) + ": a row that was never put");
    if (!(bench->RowOf(keys[2]) == bench->rows[0])) return Broken("the row beside it is another");
  }
  return {};
}

// Writers are served, the next Fetch starts again, and a reader that is gone is no harm.
inline Status ARestingReaderHoldsNothing(const FeatureStoreUnderTest& test) {
  Result<Bench> bench = Bench::Make(test, 8);
  if (!bench) return tl::unexpected(bench.error());
  const std::vector<FeatureKey> keys = Keys(0, 8);
  bench->readers[0]->Rest();
  for (uint32_t version = 0; version < 4; ++version) {
    for (const FeatureKey key : keys) SHOAL_CONFORMANCE_TRY(bench->Put(key, version));
    SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare(keys, 0, version));
    bench->readers[0]->Rest();
    bench->readers[0]->Rest();
    SHOAL_CONFORMANCE_TRY(bench->store->Sync());
  }
  bench->readers[0].reset();
  return bench->FetchAndCompare(keys, 1, 3);
}

inline Status AddressesLeadToTheRowsOfFetch(const FeatureStoreUnderTest& test) {
  constexpr uint32_t kSlots = 5000;
  Result<Bench> bench = Bench::Make(test, 8);
  if (!bench) return tl::unexpected(bench.error());
  const std::optional<FeatureAddresses> at = bench->store->Addresses();
  if (!at) return {};
  SHOAL_CONFORMANCE_TRY(bench->store->Grow(kSlots));
  const std::vector<FeatureKey> keys = Keys(0, kSlots);
  SHOAL_CONFORMANCE_TRY(bench->PutAll(keys));
  for (const FeatureKey key : keys) {
    const std::byte* const row = at->segments[key.slot >> at->shift].load() +
                                 (key.slot & ((uint32_t{1} << at->shift) - 1)) * at->stride;
    if (!(bench->RowOf(key) == row)) return Broken(Named(key) + ": another row at its address");
  }
  return {};
}

inline Status AReopenedStoreHasTheRowsThatWereSynced(const FeatureStoreUnderTest& test) {
  if (!test.reopen) return {};
  Result<Bench> bench = Bench::Make(test, 64);
  if (!bench) return tl::unexpected(bench.error());
  const std::vector<FeatureKey> keys = Keys(0, 32), later = Keys(32, 64);
  SHOAL_CONFORMANCE_TRY(bench->PutAll(keys));
  SHOAL_CONFORMANCE_TRY(bench->store->Sync());
  for (auto& reader : bench->readers) reader.reset();
  Result<std::unique_ptr<FeatureStore>> again = test.reopen(std::move(bench->store));
  if (!again) return tl::unexpected(again.error());
  bench->store = *std::move(again);
  SHOAL_CONFORMANCE_TRY(bench->MakeReaders());
  SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare(keys));
  SHOAL_CONFORMANCE_TRY(bench->store->Grow(64));
  SHOAL_CONFORMANCE_TRY(bench->PutAll(later));
  SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare(keys, 1));
  SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare(later, 1));
  const FeatureKey former = keys[5], next = {former.slot, 17};
  for (auto& reader : bench->readers) reader->Rest();
  bench->store->Free(former);
  SHOAL_CONFORMANCE_TRY(bench->Put(next));
  SHOAL_CONFORMANCE_TRY(bench->FetchAndCompare({keys[4], next, keys[6]}));
  SHOAL_CONFORMANCE_TRY(bench->Fetch({former}));
  if (bench->rows[0] != nullptr) return Broken(Named(former) + ": a row after the slot's reuse");
  return {};
}

// Threads put and fetch the same slots. A slot is locked while it is put, and shared while rows of
// it are read: what the index's epochs do. So a reader knows what it must find.
class Crowd {
 public:
  static constexpr uint32_t kSlots = 192;
  static constexpr size_t kBatch = 24;
  static constexpr uint64_t kThreads = 8;

  Crowd(const FeatureStoreUnderTest& test, FeatureStore& store) : store_(store), test_(test) {}

  Status Run() {
    std::vector<std::thread> threads;
    for (uint64_t i = 0; i < kThreads; ++i)
      threads.emplace_back([this, i] { Note(i % 2 == 0 ? Write(i) : Read(i)); });
    for (std::thread& thread : threads) thread.join();
    return first_;
  }

 private:
  struct Slot {
    std::shared_mutex mutex;
    FeatureKey key;
    uint32_t version = 0;  // 0: nothing was put.
  };

  static uint64_t Next(uint64_t& state) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
  }
  void Note(const Status& status) {
    if (status) return;
    failed_ = true;
    const std::lock_guard lock(mutex_);
    if (first_) first_ = status;
  }

  Status Write(uint64_t state) {
    begun_.arrive_and_wait();
    for (uint64_t i = 0; i < test_.concurrent_calls / kThreads && !failed_; ++i) {
      const auto n = static_cast<uint32_t>(Next(state) % kSlots);
      Slot& slot = slots_[n];
      const std::unique_lock lock(slot.mutex, std::try_to_lock);
      if (!lock.owns_lock()) continue;
      if (slot.version > 0) store_.Free(slot.key);
      slot.key = {n, Next(state)};
      SHOAL_CONFORMANCE_TRY(
          store_.Put(slot.key, Row(store_.row_bytes(), slot.key, slot.version + 1).data()));
      ++slot.version;
    }
    return {};
  }

  Status Read(uint64_t state) {
    Result<std::unique_ptr<FeatureReader>> reader = store_.NewReader(kBatch);
    begun_.arrive_and_wait();
    if (!reader) return tl::unexpected(reader.error());
    for (uint64_t i = 0; i < test_.concurrent_calls / kThreads && !failed_; ++i) {
      std::vector<std::shared_lock<std::shared_mutex>> locks;
      std::vector<FeatureKey> keys;
      std::vector<uint32_t> versions;
      auto n = static_cast<uint32_t>(Next(state) % kSlots);
      for (size_t tries = 0; tries < kBatch; ++tries, n = (n + 1 + Next(state) % 7) % kSlots) {
        std::shared_lock lock(slots_[n].mutex, std::try_to_lock);
        if (!lock.owns_lock() || slots_[n].version == 0) continue;
        locks.push_back(std::move(lock));
        keys.push_back(slots_[n].key);
        versions.push_back(slots_[n].version);
      }
      SHOAL_CONFORMANCE_TRY(FetchAndCompare(**reader, keys, versions));
      if (Next(state) % 8 == 0) (*reader)->Rest();
    }
    return {};
  }

  Status FetchAndCompare(FeatureReader& reader, const std::vector<FeatureKey>& keys,
                         const std::vector<uint32_t>& versions) const {
    std::vector<const std::byte*> rows(keys.size());
    const Result<size_t> found = reader.Fetch(keys, rows);
    if (!found) return tl::unexpected(found.error());
    for (size_t i = 0; i < keys.size(); ++i)
      if (!(Row(store_.row_bytes(), keys[i], versions[i]) == rows[i]))
        return Broken(Named(keys[i]) + (rows[i] == nullptr ? ": no row" : ": another row") +
                      " beside writers");
    return {};
  }

  FeatureStore& store_;
  const FeatureStoreUnderTest& test_;
  std::array<Slot, kSlots> slots_;
  std::latch begun_{kThreads};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  Status first_;  // The first that failed.
};

inline Status ReadersBesideWritersGetWholeRowsOfTheLatestPut(const FeatureStoreUnderTest& test) {
  Result<Bench> bench = Bench::Make(test, Crowd::kSlots);
  if (!bench) return tl::unexpected(bench.error());
  return Crowd(test, *bench->store).Run();
}

#undef SHOAL_CONFORMANCE_TRY

}  // namespace conformance

}  // namespace shoal::testing
