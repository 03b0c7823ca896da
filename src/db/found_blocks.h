// Where the blocks of an index lie in the map, as a snapshot has found them: the next snapshot of
// this process begins with that. A search needs a row of each of a thousand blocks, and to look for
// one takes microseconds.
//
// Why a place still holds: LMDB never writes to a page that a reader may see, so a value that no
// transaction has put since lies where it lay, as it has pages of its own (blocks.cc). Lists are
// put once, before their generation is the current one. Rows are put by the commits that insert
// points into their block; the log of a generation has all commits since it began, and so all these
// points.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace shoal {

// Any thread may call any function, also of one that another thread takes over.
class FoundBlocks {
 public:
  // What says where blocks are: no row, and no list of a generation, is put without a new number.
  struct Commit {
    uint32_t generation = 0;
    uint32_t start = 0;  // The start point's slot: its row is in no log.
    uint64_t number = 0;
    size_t row_blocks = 0, list_blocks = 0;
    bool operator==(const Commit&) const = default;
  };
  explicit FoundBlocks(const Commit& of);
  const Commit& of() const { return of_; }

  // By block; null: not found yet, or damaged.
  std::atomic<const std::byte*>* rows() const { return rows_.get(); }
  std::atomic<const std::byte*>* lists() const { return lists_.get(); }

  // Takes what an earlier commit's, or the same one's, has found: all blocks of its generation. The
  // caller then forgets those of rows that were put by a commit behind the number that this
  // returns. It is UINT64_MAX where nothing was taken.
  uint64_t TakeOver(const FoundBlocks& earlier);
  void ForgetRows(size_t block) { rows_[block].store(nullptr, std::memory_order_relaxed); }

  bool IsLaterThan(const FoundBlocks& other) const {
    return of_.generation != other.of_.generation ? of_.generation > other.of_.generation
                                                  : of_.number > other.of_.number;
  }

 private:
  using Places = std::unique_ptr<std::atomic<const std::byte*>[]>;
  const Commit of_;
  const Places rows_, lists_;
};

// Of each index of an environment, those of the latest commit of which a snapshot was opened. All
// snapshots of a commit share them.
class LastFoundBlocks {
 public:
  std::shared_ptr<FoundBlocks> Of(uint32_t index) const {
    const std::lock_guard lock(mutex_);
    const auto found = last_.find(index);
    return found == last_.end() ? nullptr : found->second;
  }
  // Unless it has a later one's. Where there is no memory for a new index, it is not kept.
  void Keep(uint32_t index, std::shared_ptr<FoundBlocks> found);

 private:
  mutable std::mutex mutex_;
  std::unordered_map<uint32_t, std::shared_ptr<FoundBlocks>> last_;
};

}  // namespace shoal
