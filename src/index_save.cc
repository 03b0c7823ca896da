// An index into its file, while it is written to.
//
// PROBLEM. A snapshot holds exactly the points that were there at one instant; but writing it takes
// seconds, and no thread may wait for that.
//
// IDEA. The id map says which points there are. All its shards are locked for as long as it takes
// to copy the slots that it names and that are live: no Publish, Delete, Upsert or move of a point
// ends in between, for each holds its id's entry. That is the instant. The guard is older, so every
// slot of the list stays readable, whatever becomes of its point: a row never changes while it can
// be read.
//
// Neighbour lists do change. A list is taken as it is when its turn comes; an edge to what is no
// snapshot point is rerouted to one behind it. A point that was deleted and repaired meanwhile has
// no list any more, and no list names it; others may be reached only by a list that was written
// too early or too late. These are anchored in the file (snapshot_seeds.h); Load links them anew.
#include <algorithm>
#include <limits>
#include <new>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/hooks.h"
#include "index_codes.h"
#include "index_impl.h"
#include "persist/list_codes.h"
#include "persist/snapshot_labels.h"
#include "persist/snapshot_seeds.h"

namespace shoal {

std::vector<SlotId> IndexImpl::SnapshotSlots() const {
  std::vector<SlotId> slots =
      ids_.CollectAtomically([&](SlotId slot) { return slots_.tag(slot) == Tag::kLive; });
  std::sort(slots.begin(), slots.end());
  return slots;
}

IndexImpl::SnapshotPoints IndexImpl::Position(std::vector<SlotId> slots) {
  SnapshotPoints points{.slots = std::move(slots), .positions = {}};
  const auto last = std::max_element(points.slots.begin(), points.slots.end());
  if (last == points.slots.end()) return points;
  points.positions.assign(size_t{*last} + 1, kNoSlot);
  for (uint32_t i = 0; i < points.slots.size(); ++i) points.positions[points.slots[i]] = i;
  return points;
}

uint32_t IndexImpl::PointBehind(SlotId lost, SlotId u, const SnapshotPoints& points,
                                std::span<const uint32_t> list, Operation& op) {
  if (!IsReadable(slots_.tag(lost))) return kNoSlot;
  Scratch& scratch = op.scratch;
  size_t n = neighbors_.Copy(lost, scratch.search.ids);
  n = static_cast<size_t>(std::remove_if(scratch.search.ids, scratch.search.ids + n,
                                         [&](SlotId slot) {
                                           const uint32_t position = points.PositionOf(slot);
                                           return position == kNoSlot || slot == u ||
                                                  std::find(list.begin(), list.end(), position) !=
                                                      list.end();
                                         }) -
                          scratch.search.ids);
  if (n == 0) return kNoSlot;
  const Representation rows = rows_.traversal();
  rows.FindAll(scratch.search.ids, n, scratch.search.rows, scratch.fetch);
  rows.codec.BindRow(rows.Row(u, scratch.fetch), scratch.row_buffer.data())
      .Score(scratch.search.rows, n, scratch.search.distances);
  op.work.distances += n;
  const auto nearest = std::min_element(scratch.search.distances, scratch.search.distances + n);
  return points.PositionOf(scratch.search.ids[nearest - scratch.search.distances]);
}

Status IndexImpl::SnapshotList(SlotId u, const SnapshotPoints& points, EpochRegistry::Guard& guard,
                               std::vector<uint32_t>& list) {
  Operation op(guard, rows_.buffer_bytes());
  SlotId row[kMaxDegree];
  const size_t n = neighbors_.CopyAtomically(u, row);
  list.resize(n);
  // kNoSlot: no snapshot point; the point behind it is looked for afterwards.
  for (size_t i = 0; i < n; ++i) list[i] = points.PositionOf(row[i]);
  for (size_t i = 0; i < n; ++i)
    if (list[i] == kNoSlot) list[i] = PointBehind(row[i], u, points, list, op);
  std::erase(list, kNoSlot);
  return op.fetched();
}

Status IndexImpl::WriteSnapshot(Result<SnapshotWriter> writer, const SnapshotForm& form,
                                const BatchOptions& batch) {
  if (!writer) return tl::unexpected(writer.error());
  auto guard = epochs_.Pin();
  SHOAL_SYNC_POINT("save.before_points");
  std::vector<SlotId> slots = SnapshotSlots();
  if (form.options.order == SaveOptions::Order::kNeighbors) slots = InOrderOfNeighbors(slots);
  const SnapshotPoints points = Position(std::move(slots));
  SHOAL_SYNC_POINT("save.after_points");
  const SlotId start =
      graph_.start();  // After the points: if there is one, there is a start point.
  SnapshotHeader header{
      .options = options_,
      .points = points.slots.size(),
      .start_points = start == kNoSlot ? 0u : 1u,
      .has_slots = form.vectors == SavedVectors::kInStore ? 1u : 0u,
      .has_list_codes = form.options.list_codes == SaveOptions::ListCodes::kBeside ? 1u : 0u};
  // A file that has the vectors is one that an index in memory can have written.
  const bool has_rows = !rows_.are_fetched() || form.vectors == SavedVectors::kInFile;
  if (has_rows && rows_.are_fetched()) header.options.code = Code::kFull;
  SnapshotCodec* const codecs[] = {&header.traversal, &header.rerank};
  std::vector<std::byte> parameters;
  // Vectors of a feature store are saved as rerank rows, if the code is another.
  std::vector<const Codec*> saved = rows_.codecs();
  if (!HasRerankRows(header.options) || form.vectors == SavedVectors::kInStore) saved.resize(1);
  for (size_t i = 0; i < saved.size(); ++i) {
    const std::vector<std::byte> own = saved[i]->Parameters();
    codecs[i]->row_bytes = has_rows ? static_cast<uint32_t>(saved[i]->row_bytes()) : 0;
    codecs[i]->parameter_bytes = static_cast<uint32_t>(own.size());
    parameters.insert(parameters.end(), own.begin(), own.end());
  }
  header.block_points = SnapshotBlockPoints(header);
  std::vector<std::byte> block;
  const auto progress = [&](size_t blocks) {
    return header.points * blocks / std::max<size_t>(1, header.blocks());
  };
  size_t done = 0;
  // One section: append(slot) puts the record of an entry behind the block.
  const auto write = [&](SnapshotSection section, const auto& append) -> Status {
    for (size_t b = 0; b < header.entry_blocks(); ++b) {
      if (batch.stop.stop_requested()) return Cancelled("save", progress(done), header.points);
      block.clear();
      for (uint64_t i = header.FirstEntry(b); i < header.FirstEntry(b + 1); ++i)
        append(i < header.points ? points.slots[i] : start);
      block.resize(header.BlockBytes(section, b));
      if (Status ok = writer->Append(block); !ok) return ok;
      ++done;
      if (batch.progress) batch.progress(progress(done), header.points);
    }
    return {};
  };
  Status fetched;  // The first error of the feature store.
  std::vector<uint32_t> list;
  const auto append_list = [&](SlotId slot) {
    if (Status found = SnapshotList(slot, points, guard, list); fetched) fetched = found;
    header.edges += list.size();
    list.resize(options_.max_degree, kNoSlot);
    const size_t begin = block.size();
    for (const uint32_t position : list) PutNumber(block, position);
    if (header.has_list_codes == 0) return;
    block.resize(begin + header.RecordBytes(SnapshotSection::kLists));
    const auto row_of = [&](uint32_t i) {
      return rows_.traversal().Row(i == header.points ? start : points.slots[i]);
    };
    FillListCodes(header, row_of, block.data() + begin);
  };
  const auto append_row = [&](const Representation& rows) {
    return [&block, rows](SlotId slot) {
      const std::byte* const row = rows.Row(slot);
      block.insert(block.end(), row, row + rows.codec.row_bytes());
    };
  };
  const auto append_stored = [&](SlotId slot) {
    Operation op(guard, rows_.buffer_bytes());
    const size_t end = block.size() + saved.back()->row_bytes();
    if (slot == start) {
      block.resize(end);
      saved.back()->EncodeOrigin(block.data() + end - saved.back()->row_bytes());
    } else if (fetched) {
      fetched = rows_.stored()->AppendRow({slot, slots_.external_id(slot)}, op, block);
    }
  };
  Status ok;
  if (!rows_.are_fetched()) {
    ok = write(SnapshotSection::kRows, append_row(rows_.traversal()));
  } else if (has_rows) {
    ok = write(SnapshotSection::kRows, append_stored);
  }
  if (ok && saved.size() > 1)
    ok = rows_.stored() == nullptr
             ? write(SnapshotSection::kRerankRows, append_row(rows_.ranking()))
             : write(SnapshotSection::kRerankRows, append_stored);
  if (!fetched) return fetched;
  if (ok)
    ok = write(SnapshotSection::kIds, [&](SlotId slot) {
      PutNumber(block, slot == start ? ExternalId{0} : slots_.external_id(slot));
    });
  if (ok && header.has_slots != 0)
    ok = write(SnapshotSection::kSlots, [&](SlotId slot) {
      const auto last = static_cast<SlotId>(header.points);
      PutNumber(block, form.to == nullptr ? slot : slot == start ? last : points.PositionOf(slot));
    });
  SHOAL_SYNC_POINT("save.before_lists");
  if (ok) ok = write(SnapshotSection::kLists, append_list);
  if (!fetched) return fetched;
  if (ok && slots_.labels().any()) {
    block = MakeLabelBlock(header.points,
                           [&](uint64_t i) { return slots_.labels().Of(points.slots[i]); });
    if (block.size() > std::numeric_limits<uint32_t>::max())
      return MakeError(ErrorCode::kUnsupported,
                       "labels: expected at most 4 GB of them in a snapshot, found " +
                           std::to_string(block.size()) + " bytes");
    header.label_pages = static_cast<uint32_t>(block.size() / kSnapshotPage);
    if (!block.empty()) ok = writer->Append(block);
  }
  if (ok && !parameters.empty()) ok = writer->Append(parameters);
  if (ok && start != kNoSlot) {
    SnapshotSeeds seeds{.sets = SnapshotSeedSets(points), .anchors = {}};
    ok = AnchorLost(*writer, header, seeds.anchors);
    block.clear();
    AppendSeeds(seeds, block);
    if (ok) ok = writer->Append(block);
  }
  for (size_t i = 0; i < saved.size(); ++i) codecs[i]->max_norm_sq = saved[i]->max_norm_sq();
  if (ok && form.to != nullptr) {
    ok = PutVectors(points, *form.to, guard, batch);
  } else if (ok && form.vectors == SavedVectors::kInStore) {
    ok = rows_.stored()->Sync();
  }
  if (ok)
    ok = form.sink == nullptr ? writer->Commit(header)
                              : writer->CommitTo(header, *form.sink, batch.stop);
  if (ok && batch.progress) batch.progress(header.points, header.points);
  return ok;
}

// Walks over the lists as they were written, from the start point, and anchors what is not reached:
// at an entry that is reached and near, of the point's own list, else at the start point; where
// that one anchors as many points as it may, at one of these.
Status IndexImpl::AnchorLost(SnapshotWriter& writer, const SnapshotHeader& header,
                             std::vector<SnapshotAnchor>& anchors) {
  const auto n = static_cast<uint32_t>(header.points);
  std::vector<uint32_t> list(header.options.max_degree);
  Status ok;
  const auto read = [&](uint32_t entry) {
    const uint64_t at = header.OffsetOf(SnapshotSection::kLists) +
                        uint64_t{entry} * header.RecordBytes(SnapshotSection::kLists);
    if (ok) ok = writer.ReadAt(at, list.data(), list.size() * sizeof(uint32_t));
  };
  std::vector<bool> reached(size_t{n} + 1, false);
  std::vector<uint32_t> queue;
  queue.reserve(size_t{n} + 1);
  const auto reach = [&](uint32_t entry) {
    reached[entry] = true;
    queue.push_back(entry);
  };
  size_t next = 0;
  const auto walk = [&] {
    for (; next < queue.size() && ok; ++next) {
      read(queue[next]);
      for (size_t i = 0; i < list.size() && list[i] != kNoSlot && ok; ++i)
        if (!reached[list[i]]) reach(list[i]);
    }
  };
  reach(n);  // The start point.
  walk();
  std::unordered_map<uint32_t, std::vector<uint32_t>> anchored;
  for (uint32_t point = 0; point < n && ok; ++point) {
    if (reached[point]) continue;
    read(point);
    const auto near = std::find_if(list.begin(), list.end(), [&](uint32_t neighbor) {
      return neighbor != kNoSlot && reached[neighbor];
    });
    uint32_t anchor = near == list.end() ? n : *near;
    while (anchored[anchor].size() == kMaxAnchored) anchor = anchored[anchor][point % kMaxAnchored];
    anchored[anchor].push_back(point);
    anchors.push_back({anchor, point});
    reach(point);
    walk();
  }
  std::sort(anchors.begin(), anchors.end());
  return ok;
}

// Those that are snapshot points, each once. A coarse seed that is none leaves its place to one of
// its fine seeds.
std::vector<SeedSet> IndexImpl::SnapshotSeedSets(const SnapshotPoints& points) {
  std::vector<SeedSet> sets;
  for (EntryPoints::Saved& set : graph_.entries().Save())
    sets.push_back({std::move(set.slots), set.radius});
  std::unordered_set<uint32_t> met;
  for (SeedSet& set : sets) {
    for (uint32_t& point : set.points) {
      point = points.PositionOf(point);
      if (point != kNoSlot && !met.insert(point).second) point = kNoSlot;
    }
    if (&set != &sets.front()) std::erase(set.points, kNoSlot);
  }
  std::vector<uint32_t>& coarse = sets.front().points;
  for (size_t i = coarse.size(); i-- > 0;) {
    std::vector<uint32_t>& fine = sets[i + 1].points;
    if (coarse[i] != kNoSlot) continue;
    if (fine.empty()) {
      coarse.erase(coarse.begin() + static_cast<ptrdiff_t>(i));
      sets.erase(sets.begin() + static_cast<ptrdiff_t>(i) + 1);
    } else {
      coarse[i] = fine.back();
      fine.pop_back();
    }
  }
  return sets;
}

Status IndexImpl::CheckListCodes(const SaveOptions& options) const {
  if (options.list_codes == SaveOptions::ListCodes::kNone || !rows_.are_fetched()) return {};
  return Invalid("list_codes", "none: rows are fetched, and there is no code", "beside");
}

Status IndexImpl::Save(const std::filesystem::path& path, const BatchOptions& batch,
                       const SaveOptions& options) {
  if (Status ok = CheckListCodes(options); !ok) return ok;
  try {
    return WriteSnapshot(SnapshotWriter::Create(path), {.options = options}, batch);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "save");
  }
}

Status IndexImpl::SaveWithoutVectors(const std::filesystem::path& path, const BatchOptions& batch,
                                     const SaveOptions& options) {
  if (rows_.stored() == nullptr) return Invalid("index", "one with a feature store", "none");
  if (options.order != SaveOptions::Order::kSlots)
    return Invalid("order", "that of the slots: the store has the vectors there", "another");
  if (Status ok = CheckListCodes(options); !ok) return ok;
  try {
    return WriteSnapshot(SnapshotWriter::Create(path),
                         {.vectors = SavedVectors::kInStore, .options = options}, batch);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "save");
  }
}

Status IndexImpl::SaveToFeatures(const std::filesystem::path& path, FeatureStore& to,
                                 const BatchOptions& batch, const SaveOptions& options) {
  if (Status goes = CheckStore(options_, &to); !goes) return goes;
  if (options_.rerank_code != Code::kFull)
    return Invalid("rerank_code", "full: the vectors", CodeName(options_.rerank_code));
  if (Status ok = CheckListCodes(options); !ok) return ok;
  try {
    return WriteSnapshot(SnapshotWriter::Create(path),
                         {.vectors = SavedVectors::kInStore, .options = options, .to = &to}, batch);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "save");
  }
}

Status IndexImpl::SaveTo(const ByteSink& sink, const BatchOptions& batch) {
  try {
    return WriteSnapshot(SnapshotWriter::CreateUnnamed(), {.sink = &sink}, batch);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "save");
  }
}

}  // namespace shoal
