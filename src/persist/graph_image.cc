#include "persist/graph_image.h"

#include <algorithm>
#include <string>
#include <unordered_set>

#include "base/mismatch.h"

namespace shoal {
namespace {

tl::unexpected<Error> Broken(std::string_view field, size_t expected, size_t found) {
  return Mismatch(ErrorCode::kCorrupt, field, Written(expected), Written(found));
}

Status CheckLists(const GraphImage& image) {
  std::vector<uint32_t> last_seen(image.nodes(), 0);  // 1 + the last list that held the node.
  for (size_t i = 0; i < image.nodes(); ++i) {
    for (uint32_t neighbor : image.List(i)) {
      if (neighbor >= image.nodes() || neighbor == i || last_seen[neighbor] == i + 1) {
        return Mismatch(ErrorCode::kCorrupt, "a neighbour of node " + Written(i),
                        "another node, once, below " + Written(image.nodes()), Written(neighbor));
      }
      last_seen[neighbor] = static_cast<uint32_t>(i + 1);
    }
  }
  return {};
}

}  // namespace

size_t GraphImage::MaxDegree() const {
  size_t most = 0;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    most = std::max<size_t>(most, offsets[i + 1] - offsets[i]);
  }
  return most;
}

Status CheckImage(const GraphImage& image) {
  if (image.nodes() == 0) return Broken("nodes, at least", 1, 0);
  if (image.rows.rows() != image.nodes()) return Broken("rows", image.nodes(), image.rows.rows());
  if (image.offsets.size() != image.nodes() + 1) {
    return Broken("offsets", image.nodes() + 1, image.offsets.size());
  }
  if (image.offsets.front() != 0) return Broken("first offset", 0, image.offsets.front());
  if (!std::ranges::is_sorted(image.offsets)) {
    return MakeError(ErrorCode::kCorrupt, "offsets: expected ascending, found a smaller one");
  }
  if (image.offsets.back() != image.neighbors.size()) {
    return Broken("last offset", image.neighbors.size(), image.offsets.back());
  }
  if (image.start >= image.nodes()) return Broken("start, less than", image.nodes(), image.start);
  if (std::unordered_set<ExternalId>(image.ids.begin(), image.ids.end()).size() !=
      image.ids.size()) {
    return MakeError(ErrorCode::kCorrupt, "ids: expected each once, found one twice");
  }
  return CheckLists(image);
}

}  // namespace shoal
