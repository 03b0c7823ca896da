// The log of an index: what each commit since the last pass has changed. A commit's changes are one
// or more values ("parts") of some pages at most, so that all large values of the file have about
// one size.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "db/blocks.h"

namespace shoal {

// Where the log has a point.
struct LogPlace {
  uint64_t commit = 0;
  uint32_t part = 0;
  uint32_t offset = 0;  // In the part's value.
};

// A point that a commit inserted. The anchor is reached without it.
struct LoggedPoint {
  SlotId slot = kNoSlot;
  SlotId anchor = kNoSlot;
  ExternalId id = 0;
  std::span<const SlotId> list;
  LogPlace place = {};  // What a reader was told.
};

// Changes of one commit, in order.
class CommitLogWriter {
 public:
  CommitLogWriter(uint32_t index, uint64_t commit) : index_(index), commit_(commit) { Begin(); }
  // Returns where the point is.
  LogPlace Insert(const LoggedPoint& point);
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

// Reads the log of an index in order, from a commit on. Corrupt: a part is missing or damaged, or
// names a slot that cannot be.
Status ReadLog(const ReadTxn& txn, const IndexRecord& record, uint64_t first_commit,
               const LogVisitor& visitor);
// A point of the log where it lies.
struct PointInLog {
  ExternalId id = 0;
  const std::byte* list = nullptr;  // Of slots, one behind the other; valid as long as the ReadTxn.
  uint32_t degree = 0;
};
// Corrupt.
Result<PointInLog> ReadLogged(const ReadTxn& txn, const IndexRecord& record, const LogPlace& place);

}  // namespace shoal
