// The log of an index: what each commit since the last pass has changed. A commit's changes are one
// or more values ("parts") of some pages at most, so that all large values of the file have about
// one size.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "db/blocks.h"

namespace shoal {

// A point that a commit inserted. The anchor is reached without it.
struct LoggedPoint {
  SlotId slot = kNoSlot;
  SlotId anchor = kNoSlot;
  ExternalId id = 0;
  std::span<const SlotId> list;
};

// Changes of one commit, in order.
class CommitLogWriter {
 public:
  CommitLogWriter(uint32_t index, uint64_t commit) : index_(index), commit_(commit) { Begin(); }
  void Insert(const LoggedPoint& point);
  void Kill(SlotId slot);
  // Part i is the value of LogKey(index, commit, i).
  std::vector<Block> Finish() &&;

 private:
  void Begin();
  void Room(size_t bytes);
  uint32_t index_;
  uint64_t commit_;
  std::vector<Block> parts_;
  std::vector<uint32_t> counts_;
};

// What a reader of a log does with it. `list` stands during the call.
struct LogVisitor {
  std::function<Status(const LoggedPoint&)> insert;
  std::function<Status(SlotId)> kill;
};

// Reads the log of an index in order. Corrupt: a part is missing or damaged, or names a slot that
// cannot be.
Status ReadLog(const ReadTxn& txn, const IndexRecord& record, const LogVisitor& visitor);

}  // namespace shoal
