// Feature stores: where the vectors of an index live. In memory, in a mapped file, on a disk, in a
// database, or wherever a class of your own keeps them. shoal/feature_stores.h has stores that are
// ready to use; docs/feature_stores.md says which to take and how to write one.
//
// A store maps a key, a slot and an id, to a row of a fixed number of bytes. It knows nothing of
// graphs and searches. To write one, derive from both classes below. Its tests are written already:
// shoal/testing/feature_store_conformance.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "shoal/export.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal {

// Names a row. Slots are dense: small integers from 0 on that the index hands out and uses again.
// While an id gets another vector it has two rows, under two slots. So a store is keyed by the slot
// alone, or by both; a store keyed by the id alone would lose one of the two.
struct FeatureKey {
  uint32_t slot = 0;
  ExternalId id = 0;
  friend bool operator==(const FeatureKey&, const FeatureKey&) = default;
};

// Rows at fixed places: that of slot s is at segments[s >> shift] + (s & ((1 << shift) - 1)) *
// stride. The array of segments and what it names outlive all readers and never move.
struct FeatureAddresses {
  const std::atomic<std::byte*>* segments = nullptr;
  unsigned shift = 0;
  size_t stride = 0;
};

// What a store has done since it was made, and what it holds. A field that a store does not count
// is 0.
struct FeatureStats {
  uint64_t rows = 0;             // Rows that were fetched.
  uint64_t missing = 0;          // Keys that were asked for and not found.
  uint64_t hits = 0;             // Pages that came from the store's own cache.
  uint64_t reads = 0;            // Reads that the operating system was asked for.
  uint64_t bytes_read = 0;       // Their bytes.
  uint64_t bytes_written = 0;    // Bytes of rows that were put.
  uint64_t max_queue_depth = 0;  // Most reads that were under way at the same time.
  uint64_t memory = 0;           // Bytes of memory now: rows, cache, buffers of readers.
  uint64_t readers = 0;          // Readers now.
};

// Reads rows. One thread at a time uses a reader; different readers are used at the same time.
class SHOAL_API FeatureReader {
 public:
  virtual ~FeatureReader() = default;

  // Sets rows[i] to the row that was last put under keys[i], or to null if there is none: it is
  // lost, or its slot was put under another id. Returns how many are not null. Afterwards all of
  // them stay readable and as they are until the next Fetch or Rest of this reader, or its end.
  // This holds while other readers fetch, and while other slots are put, freed and grown.
  //
  // keys: at most max_rows of NewReader, in any order, possibly repeated. rows: as many. Of a key
  // that was freed, the row as it was or null; of a slot that no Grow has made usable, null. A call
  // that needs slow reads makes them at the same time, not one after another. An error is that of
  // the whole call: one line that says what was read from where and why it failed. The reader can
  // be used again.
  virtual Result<size_t> Fetch(std::span<const FeatureKey> keys,
                               std::span<const std::byte*> rows) = 0;

  // The reader will not be used for some time: it lets go of what stands in the way of writers (a
  // transaction, a pinned page). It may keep memory. The next Fetch starts again.
  virtual void Rest() {}
};

// Thread safety: any thread calls any function at any time, together with any other, except:
// - No two Puts or Frees of a slot at the same time, nor one while a Fetch reads that slot.
// - One Grow at a time.
// - All readers are destroyed before the store.
// Nothing throws.
class SHOAL_API FeatureStore {
 public:
  virtual ~FeatureStore() = default;

  // Bytes of each row: dimension times the size of the scalar type. Constant.
  virtual size_t row_bytes() const = 0;

  // Makes slots [0, slots) usable; their rows stay. Called before the first Put of a slot, with
  // numbers that rise by far more than 1. A store that needs no preparation keeps this one.
  virtual Status Grow(uint32_t /*slots*/) { return {}; }

  // Copies a row to the store. When it returns, every Fetch of the key that begins later, on any
  // reader, gives this row. A row that the slot had under another id was freed before. After an
  // error the slot has no row that may be used, and may be put again. A store over data that must
  // not change accepts the row that it has already, and refuses every other.
  virtual Status Put(FeatureKey key, const std::byte* row) = 0;

  // No Fetch will ask for the key any more: the row may go. (The slot was reclaimed, or its insert
  // has failed.) Comes before the slot's next Put. There may be no such row. A store that fails
  // here keeps the row; nothing depends on it. The rows of slots that were not reclaimed when the
  // index was destroyed are not freed.
  virtual void Free(FeatureKey /*key*/) {}

  // When it returns, rows that were put before it was called survive a crash of the machine. A
  // store that survives none keeps this one.
  virtual Status Sync() { return {}; }

  // A reader for up to max_rows keys in a Fetch. The index makes one for each thread that is inside
  // at the same time, and keeps them.
  virtual Result<std::unique_ptr<FeatureReader>> NewReader(size_t max_rows) = 0;

  // Where all rows are, if they have fixed places in memory. Asked once, by an index without a code
  // whose rows are all there (new, or checked when it was loaded): searches and writers then read
  // rows without a call, and without a check whether the row is there. Others fetch.
  virtual std::optional<FeatureAddresses> Addresses() const { return std::nullopt; }

  virtual FeatureStats Stats() const { return {}; }
};

}  // namespace shoal
