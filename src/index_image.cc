// An index to and from its image: what the file formats are written from and read into.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <unordered_map>

#include "base/parallel.h"
#include "index_impl.h"

namespace shoal {
namespace {

constexpr size_t kGrain = 64;

// Points in the order in which a search over all of them would meet them, then those that it would
// not: where slots are numbered so, almost every point has an edge from an older one already.
std::vector<uint32_t> BreadthFirst(const GraphImage& image) {
  const auto n = static_cast<uint32_t>(image.points());
  std::vector<uint32_t> order;
  order.reserve(n);
  std::vector<bool> met(n, false);
  const auto meet = [&](uint32_t i) {
    if (i >= n || met[i]) return;
    met[i] = true;
    order.push_back(i);
  };
  meet(image.start);
  for (const uint32_t i : image.List(image.start)) meet(i);
  for (uint32_t root = 0, next = 0; root < n; ++root) {
    for (; next < order.size(); ++next)
      for (const uint32_t i : image.List(order[next])) meet(i);
    meet(root);
  }
  return order;
}

}  // namespace

// Under one guard; writers go on beside it. A list is the list at the moment when it is copied; its
// edges to points that came later are left out.
Result<GraphImage> IndexImpl::Export(bool dynamic) {
  auto guard = epochs_.Pin();
  std::vector<SlotId> members = LiveSlots();
  GraphImage image;
  const SlotId start = graph_.start();
  if (members.empty()) return MakeError(ErrorCode::kUnsupported, "index: no points to write");
  std::sort(members.begin(), members.end(),
            [&](SlotId a, SlotId b) { return slots_.external_id(a) < slots_.external_id(b); });
  for (const SlotId slot : members) image.ids.push_back(slots_.external_id(slot));
  const auto medoid = static_cast<uint32_t>(
      std::find(members.begin(), members.end(), graph_.NearestToStart(guard, ScratchOf(guard))) -
      members.begin());
  image.start_points = dynamic ? 1 : 0;
  image.start = dynamic ? static_cast<uint32_t>(members.size())
                        : medoid % static_cast<uint32_t>(members.size());
  std::unordered_map<SlotId, uint32_t> number;
  number.reserve(members.size());
  for (uint32_t i = 0; i < members.size(); ++i) number.emplace(members[i], i);
  if (dynamic) members.push_back(start);

  Result<Matrix> rows = Matrix::Create(options_.scalar_type, members.size(), options_.dim);
  if (!rows) return tl::unexpected(rows.error());
  image.rows = std::move(*rows);
  image.offsets.push_back(0);
  std::vector<SlotId> row(size_t{2} * kMaxDegree);
  for (uint32_t i = 0; i < members.size(); ++i) {
    std::memcpy(image.rows.data() + i * image.rows.row_bytes(), features_.Own(members[i]),
                image.rows.row_bytes());
    size_t n = neighbors_.Copy(members[i], row.data());
    // Without a start point its list goes to the point that stands in for it.
    if (!dynamic && i == image.start) n += neighbors_.Copy(start, row.data() + n);
    const auto begin = static_cast<ptrdiff_t>(image.neighbors.size());
    for (size_t j = 0; j < n; ++j) {
      const auto found = number.find(row[j]);
      if (found == number.end() || found->second == i) continue;
      if (std::find(image.neighbors.begin() + begin, image.neighbors.end(), found->second) ==
          image.neighbors.end())
        image.neighbors.push_back(found->second);
    }
    image.offsets.push_back(image.neighbors.size());
  }
  return image;
}

// Into an empty index. The points keep their order: row i of the image becomes the (i + 1)-th slot,
// behind the start point.
Status IndexImpl::Import(const GraphImage& image) {
  const size_t n = image.points();
  if (n == 0) return {};
  // A start point may be what no point may be: a zero vector under cosine.
  VectorView start_row = image.rows[image.start];
  if (!codec_.Validate(start_row, "start")) start_row = image.rows[CentralRow(image.rows)];
  if (Status started = EnsureStart(start_row); !started) return started;
  std::vector<SlotId> slots(n);
  const std::vector<uint32_t> order = BreadthFirst(image);
  for (const uint32_t i : order) {
    if (Status valid = codec_.Validate(image.rows[i], "row"); !valid)
      return MakeError(valid.error().code,
                       "row " + std::to_string(i) + ": " + valid.error().message);
    Result<OwnedSlot> slot = Reserve(image.ids[i], image.rows[i]);
    if (!slot) return tl::unexpected(slot.error());
    neighbors_.Reset(slot->id());
    slots[i] = std::move(*slot).Publish();
  }
  const auto link = [&](SlotId u, std::span<const uint32_t> ids) {
    auto guard = epochs_.Pin();
    for (const uint32_t v : ids)
      if (v < n && slots[v] != u) graph_.AddEdge(u, slots[v], guard, ScratchOf(guard));
  };
  // A start that is a point leads to that point first.
  if (image.start < n) link(graph_.start(), std::span(&image.start, 1));
  link(graph_.start(), image.List(image.start));
  ParallelFor(0, n, kGrain, {}, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) link(slots[i], image.List(i));
  });
  // Older points first, so that each finds its guards guarded.
  for (const uint32_t i : order) {
    auto guard = epochs_.Pin();
    graph_.EnsureGuarded(slots[i], kNoSlot, guard, ScratchOf(guard));
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

Result<Index> ImportGraph(const IndexOptions& options, GraphImage&& image) {
  Result<Index> index = Index::Create(options);
  if (!index) return index;
  try {
    if (Status imported = IndexImpl::Of(*index).Import(image); !imported)
      return tl::unexpected(imported.error());
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "index image: no memory");
  }
  return index;
}

}  // namespace shoal
