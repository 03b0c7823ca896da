#include "db/commit_log.h"

#include <algorithm>
#include <string>

#include "base/mismatch.h"

namespace shoal {
namespace {

constexpr size_t kPartBytes = 4 * 4096 - 16;
enum class Change : uint32_t { kInsert = 1, kKill = 2 };

size_t InsertBytes(size_t degree) {
  return 4 * sizeof(uint32_t) + sizeof(ExternalId) + degree * sizeof(SlotId);
}

tl::unexpected<Error> Broken(const std::string& where, const char* field, uint64_t expected,
                             uint64_t found) {
  return Mismatch(ErrorCode::kCorrupt, where + ": " + field, std::to_string(expected),
                  std::to_string(found));
}

std::string NameOfPart(const ReadTxn& txn, const IndexRecord& record, uint64_t commit,
                       uint32_t part) {
  return txn.environment().path().string() + ": index " + std::to_string(record.number) +
         ", log, commit " + std::to_string(commit) + ", part " + std::to_string(part);
}

// One part: checks each number before it is used.
class PartReader {
 public:
  PartReader(std::string where, const IndexRecord& record)
      : where_(std::move(where)), record_(record) {}

  // `place`: of the part.
  Status Read(Bytes value, uint32_t count, LogPlace place, const LogVisitor& visitor) {
    ByteReader in(value);
    in.TakeBytes(sizeof(BlockHeader));
    std::vector<SlotId> list;
    for (uint32_t i = 0; i < count; ++i) {
      place.offset = static_cast<uint32_t>(in.offset());
      const auto change = in.Take<Change>();
      const auto slot = in.Take<SlotId>();
      if (!in.ok() || slot >= record_.slots)
        return Broken(where_, "slot below", record_.slots, slot);
      Status ok;
      if (change == Change::kInsert) {
        Result<LoggedPoint> point = ReadInsert(slot, in, list);
        if (!point) return tl::unexpected(point.error());
        point->place = place;
        ok = visitor.insert(*point);
      } else if (change == Change::kKill) {
        ok = visitor.kill(slot);
      } else {
        ok = Broken(where_, "change", 1, static_cast<uint32_t>(change));
      }
      if (!ok) return ok;
    }
    if (!in.done()) return Broken(where_, "bytes", in.offset(), value.size());
    return {};
  }

  Result<PointInLog> ReadOne(Bytes value, const LogPlace& place) {
    ByteReader in(value);
    in.TakeBytes(place.offset);
    const auto change = in.Take<Change>();
    const auto slot = in.Take<SlotId>();
    if (!in.ok() || change != Change::kInsert || slot >= record_.slots)
      return Broken(where_, "a point at", place.offset, static_cast<uint32_t>(change));
    std::vector<SlotId> list;
    const Result<LoggedPoint> point = ReadInsert(slot, in, list);
    if (!point) return tl::unexpected(point.error());
    const size_t bytes = list.size() * sizeof(SlotId);
    return PointInLog{point->id, value.data() + in.offset() - bytes,
                      static_cast<uint32_t>(list.size())};
  }

 private:
  Result<LoggedPoint> ReadInsert(SlotId slot, ByteReader& in, std::vector<SlotId>& list) {
    LoggedPoint point{.slot = slot, .anchor = in.Take<SlotId>(), .id = 0, .list = {}};
    const auto degree = in.Take<uint32_t>();
    point.id = in.Take<ExternalId>();
    if (degree > record_.options.max_degree)
      return Broken(where_, "max_degree", record_.options.max_degree, degree);
    list.clear();
    for (uint32_t i = 0; i < degree; ++i) list.push_back(in.Take<SlotId>());
    if (!in.ok()) return Broken(where_, "list of", degree, 0);
    for (const SlotId word : list)
      if (word >= record_.slots) return Broken(where_, "slot below", record_.slots, word);
    if (point.anchor >= record_.slots)
      return Broken(where_, "anchor below", record_.slots, point.anchor);
    point.list = list;
    return point;
  }

  const std::string where_;
  const IndexRecord& record_;
};

}  // namespace

void CommitLogWriter::Begin() {
  parts_.emplace_back(sizeof(BlockHeader));
  counts_.push_back(0);
}

void CommitLogWriter::Room(size_t bytes) {
  if (parts_.back().size() + bytes > kPartBytes && counts_.back() > 0) Begin();
  ++counts_.back();
}

LogPlace CommitLogWriter::Insert(const LoggedPoint& point) {
  Room(InsertBytes(point.list.size()));
  Block& part = parts_.back();
  const LogPlace place{commit_, static_cast<uint32_t>(parts_.size() - 1),
                       static_cast<uint32_t>(part.size())};
  PutValue(part, Change::kInsert);
  PutValue(part, point.slot);
  PutValue(part, point.anchor);
  PutValue(part, static_cast<uint32_t>(point.list.size()));
  PutValue(part, point.id);
  for (const SlotId word : point.list) PutValue(part, word);
  return place;
}

void CommitLogWriter::Kill(SlotId slot) {
  Room(2 * sizeof(uint32_t));
  PutValue(parts_.back(), Change::kKill);
  PutValue(parts_.back(), slot);
}

std::vector<Block> CommitLogWriter::Finish() && {
  for (size_t i = 0; i < parts_.size(); ++i)
    SealBlock(parts_[i], {.kind = BlockKind::kLog,
                          .index = index_,
                          .number = commit_,
                          .generation = static_cast<uint32_t>(i),
                          .count = counts_[i],
                          .more = parts_.size()});
  return std::move(parts_);
}

Status ReadLog(const ReadTxn& txn, const IndexRecord& record, uint64_t first_commit,
               const LogVisitor& visitor) {
  uint64_t commit = first_commit;
  uint32_t part = 0;
  const auto read = [&](const Key& key, Bytes value) -> Status {
    const uint64_t found = uint64_t{key.words[1]} << 32 | key.words[2];
    const std::string where = NameOfPart(txn, record, commit, part);
    if (found != commit || key.words[3] != part) return Broken(where, "commit", commit, found);
    const Result<BlockHeader> header = CheckBlock(
        txn.environment().path().string(), value,
        {.kind = BlockKind::kLog, .index = record.number, .number = commit, .generation = part});
    if (!header) return tl::unexpected(header.error());
    if (Status ok =
            PartReader(where, record).Read(value, header->count, {commit, part, 0}, visitor);
        !ok)
      return ok;
    if (++part == header->more) {
      part = 0;
      ++commit;
    }
    return {};
  };
  if (first_commit > record.last_commit) return {};
  if (Status ok = txn.Scan(Table::kLog, LogKey(record.number, first_commit, 0),
                           LogKey(record.number, record.last_commit, UINT32_MAX), read);
      !ok)
    return ok;
  if (commit == record.last_commit + 1 && part == 0) return {};
  return Broken(
      txn.environment().path().string() + ": index " + std::to_string(record.number) + ", log",
      "commits up to", record.last_commit, commit);
}

Result<PointInLog> ReadLogged(const ReadTxn& txn, const IndexRecord& record,
                              const LogPlace& place) {
  const Result<Bytes> value = txn.Get(Table::kLog, LogKey(record.number, place.commit, place.part));
  if (!value) return tl::unexpected(value.error());
  const Result<BlockHeader> header = CheckBlock(txn.environment().path().string(), *value,
                                                {.kind = BlockKind::kLog,
                                                 .index = record.number,
                                                 .number = place.commit,
                                                 .generation = place.part});
  if (!header) return tl::unexpected(header.error());
  return PartReader(NameOfPart(txn, record, place.commit, place.part), record)
      .ReadOne(*value, place);
}

}  // namespace shoal
