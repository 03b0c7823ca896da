// An index to and from its image, which the file formats write and read.
#include "index_image.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/hooks.h"
#include "base/parallel.h"
#include "base/round.h"
#include "codec/full_codec.h"
#include "graph/breadth_first.h"
#include "index_impl.h"

namespace shoal {
namespace {

constexpr size_t kGrain = 64;

// Of points that get their ranks in this order almost all have an edge from one of lower rank.
BreadthFirstOrder BreadthFirst(const GraphImage& image) {
  const auto list = [&](uint32_t i, const auto& meet) {
    for (const uint32_t neighbor : image.List(i)) meet(neighbor);
  };
  const auto roots = [&](const auto& meet) {
    meet(image.start);
    list(image.start, meet);
  };
  return OrderBreadthFirst(static_cast<uint32_t>(image.points()), roots, list);
}

}  // namespace

// The point of a sample whose mean distance from a few dozen others of the sample is least.
uint32_t IndexImpl::Medoid(const SnapshotPoints& points) {
  constexpr size_t kSample = 1000, kJudges = 64;
  const size_t n = points.slots.size();
  const size_t step = std::max<size_t>(1, n / kSample);
  const size_t vector_bytes = VectorView(nullptr, options_.scalar_type, options_.dim).bytes();
  std::vector<std::byte> vectors(DivideUp(n, step) * vector_bytes);
  std::vector<const std::byte*> sample;
  for (size_t i = 0; i < n; i += step) {
    std::byte* const vector = vectors.data() + sample.size() * vector_bytes;
    CopyRow(points.slots[i], {vector, options_.scalar_type, options_.dim});
    sample.push_back(vector);
  }
  const FullCodec full(options_.scalar_type, options_.metric, options_.dim);
  const size_t judges = std::min(sample.size(), kJudges);
  std::vector<std::byte> buffer(full.buffer_bytes());
  std::vector<float> distances(sample.size());
  std::vector<double> sums(sample.size(), 0.0);
  for (size_t j = 0; j < judges; ++j) {
    const std::byte* const judge = sample[j * sample.size() / judges];
    full.ScoreRaw(judge, sample.data(), sample.size(), buffer.data(), distances.data());
    for (size_t i = 0; i < sample.size(); ++i) sums[i] += distances[i];
  }
  const auto best = std::min_element(sums.begin(), sums.end()) - sums.begin();
  return static_cast<uint32_t>(static_cast<size_t>(best) * step);
}

// Under one guard, beside writers (index_save.cc).
Result<GraphImage> IndexImpl::Export(bool dynamic) {
  if (rows_.stored() != nullptr)
    return MakeError(ErrorCode::kUnsupported, "index: its vectors are in a feature store");
  auto guard = epochs_.Pin();
  std::vector<SlotId> slots = SnapshotSlots();
  SHOAL_SYNC_POINT("export.after_points");
  const SlotId start = graph_.start();
  if (slots.empty()) return MakeError(ErrorCode::kUnsupported, "index: no points to write");
  std::sort(slots.begin(), slots.end(),
            [&](SlotId a, SlotId b) { return slots_.external_id(a) < slots_.external_id(b); });
  const SnapshotPoints points = Position(std::move(slots));
  const auto n = static_cast<uint32_t>(points.slots.size());
  GraphImage image;
  image.ids.reserve(n);
  for (const SlotId slot : points.slots) image.ids.push_back(slots_.external_id(slot));
  image.start_points = dynamic ? 1 : 0;
  // Where the file has no start point, the medoid is the start.
  const uint32_t medoid = Medoid(points);
  image.start = dynamic ? n : medoid;

  Result<Matrix> rows = Matrix::Create(options_.scalar_type, image.nodes(), options_.dim);
  if (!rows) return tl::unexpected(rows.error());
  image.rows = std::move(*rows);
  image.offsets.push_back(0);
  std::vector<uint32_t> list;
  std::vector<uint32_t> list_of_start;
  (void)SnapshotList(start, points, guard, list_of_start);  // No feature store.
  for (uint32_t i = 0; i < image.nodes(); ++i) {
    const SlotId slot = i < n ? points.slots[i] : start;
    // The start point gets the medoid's row: DiskANN has no cosine distance from the origin.
    CopyRow(points.slots[i < n ? i : medoid],
            {image.rows.data() + i * image.rows.row_bytes(), options_.scalar_type, options_.dim});
    (void)SnapshotList(slot, points, guard, list);
    if (!dynamic && i == image.start)
      for (const uint32_t j : list_of_start)
        if (j != i && std::find(list.begin(), list.end(), j) == list.end()) list.push_back(j);
    image.neighbors.insert(image.neighbors.end(), list.begin(), list.end());
    image.offsets.push_back(image.neighbors.size());
  }
  return image;
}

// Into an empty index. The points keep their order: row i of the image becomes the (i + 1)-th slot,
// behind the start point.
Status IndexImpl::Import(const GraphImage& image, const BatchOptions& batch) {
  const size_t n = image.points();
  if (n == 0) return {};
  // Three passes over all points, each a third of the progress.
  constexpr size_t kPasses = 3, kTell = 4096;
  const auto tell = [&](size_t pass, size_t done) {
    if (batch.progress) batch.progress((pass * n + done) / kPasses, n);
  };
  size_t done = 0;
  NoteBatch(image.rows);
  if (Status started = EnsureStart(); !started) return started;
  std::vector<SlotId> slots(n);
  const std::vector<uint32_t> order = BreadthFirst(image).nodes;
  for (const uint32_t i : order) {
    if (batch.stop.stop_requested()) return Cancelled("load", done / kPasses, n);
    if (Status valid = check_.Vector(image.rows[i], "row"); !valid)
      return MakeError(valid.error().code,
                       "row " + std::to_string(i) + ": " + valid.error().message);
    Result<OwnedSlot> slot = Reserve(image.ids[i], image.rows[i]);
    if (!slot) return tl::unexpected(slot.error());
    neighbors_.ResetRow(slot->id());
    slots[i] = std::move(*slot).Publish();
    if (++done % kTell == 0) tell(0, done);
  }
  const auto link = [&](SlotId u, std::span<const uint32_t> ids) {
    auto guard = epochs_.Pin();
    Operation op(guard, rows_.buffer_bytes());
    for (const uint32_t v : ids)
      if (v < n && slots[v] != u) graph_.AddEdge(u, slots[v], op);
  };
  // A start that is a point is the first neighbour of the start point.
  if (image.start < n) link(graph_.start(), std::span(&image.start, 1));
  link(graph_.start(), image.List(image.start));
  done = ParallelFor(
      batch.threads, n, kGrain, [&](size_t linked, size_t) { tell(1, linked); },
      [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) link(slots[i], image.List(i));
      },
      batch.stop);
  if (done < n) return Cancelled("load", (n + done) / kPasses, n);
  done = 0;
  // In the order of ranks, so that its possible parents have parents.
  for (const uint32_t i : order) {
    if (batch.stop.stop_requested()) return Cancelled("load", (2 * n + done) / kPasses, n);
    if (++done % kTell == 0 || done == n) tell(2, done);
    auto guard = epochs_.Pin();
    Operation op(guard, rows_.buffer_bytes());
    if (graph_.EnsureParent(slots[i], op)) continue;
    graph_.LinkInAnywhere(slots[i], op);
    if (neighbors_.forest().ParentCount(slots[i]) == 0) return OutOfMemory(options_, "index image");
  }
  return {};
}

Result<GraphImage> ExportGraph(const Index& index, bool dynamic) {
  try {
    return IndexImpl::Of(index).Export(dynamic);
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "index image: no memory");
  }
}

Result<Index> ImportGraph(const IndexOptions& options, GraphImage&& image,
                          const BatchOptions& batch) {
  Result<Index> index = Index::Create(options);
  if (!index) return index;
  try {
    if (Status imported = IndexImpl::Of(*index).Import(image, batch); !imported)
      return tl::unexpected(imported.error());
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "index image: no memory");
  }
  return index;
}

}  // namespace shoal
