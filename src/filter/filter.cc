#include "shoal/filter.h"

#include <algorithm>
#include <exception>
#include <new>

#include "filter/filter_node.h"

namespace shoal {
namespace {

constexpr size_t kMaxDepth = 100;

using NodePointer = std::shared_ptr<const FilterNode>;

// Made when the library is loaded, so that it needs no memory later.
const NodePointer& NoMemoryNode() {
  static const NodePointer node = [] {
    FilterNode made;
    made.error = {ErrorCode::kOutOfMemory, "filter: no memory"};
    return std::make_shared<const FilterNode>(std::move(made));
  }();
  return node;
}
[[maybe_unused]] const NodePointer& made_early = NoMemoryNode();

// The node that make() returns, or the reason why there is none.
template <class Make>
NodePointer NodeOf(const Make& make) {
  try {
    return std::make_shared<const FilterNode>(make());
  } catch (const std::bad_alloc&) {
    return NoMemoryNode();
  }
}

FilterNode InvalidNode(std::string message) {
  FilterNode node;
  node.error = {ErrorCode::kInvalidArgument, std::move(message)};
  return node;
}

FilterNode Combine(FilterNode::Kind kind, std::span<const Filter> parts) {
  FilterNode node;
  node.kind = kind;
  for (const Filter& part : parts) {
    if (part.node().kind == FilterNode::Kind::kInvalid) return part.node();
    node.parts.push_back(part.shared_node());
    node.depth = std::max(node.depth, part.node().depth + 1);
    node.has_predicate = node.has_predicate || part.node().has_predicate;
    node.reads_ids = node.reads_ids || part.node().reads_ids;
    node.reads_labels = node.reads_labels || part.node().reads_labels;
  }
  if (node.depth > kMaxDepth)
    return InvalidNode("filter: expected parts nested at most " + std::to_string(kMaxDepth) +
                       " deep, found " + std::to_string(node.depth));
  // Predicates may be slow: what is cheap goes first.
  std::stable_sort(node.parts.begin(), node.parts.end(), [](const auto& a, const auto& b) {
    return !a->has_predicate && b->has_predicate;
  });
  return node;
}

}  // namespace

Filter Filter::Ids(std::span<const ExternalId> ids) {
  return Filter(NodeOf([&] {
    FilterNode node;
    node.kind = FilterNode::Kind::kIds;
    node.ids.emplace(ids);
    node.reads_ids = true;
    return node;
  }));
}

Filter Filter::Label(uint32_t label) {
  return Filter(NodeOf([&] {
    FilterNode node;
    node.kind = FilterNode::Kind::kLabel;
    node.label = label;
    node.reads_labels = true;
    return node;
  }));
}

Filter Filter::Where(Predicate predicate) {
  return Filter(NodeOf([&] {
    if (!predicate) return InvalidNode("filter: expected a predicate, found an empty function");
    FilterNode node;
    node.kind = FilterNode::Kind::kPredicate;
    node.predicate = std::move(predicate);
    node.has_predicate = node.reads_ids = true;
    return node;
  }));
}

Filter Filter::All(std::span<const Filter> parts) {
  return Filter(NodeOf([&] { return Combine(FilterNode::Kind::kAll, parts); }));
}

Filter Filter::Any(std::span<const Filter> parts) {
  return Filter(NodeOf([&] { return Combine(FilterNode::Kind::kAny, parts); }));
}

Filter Filter::Not(const Filter& part) {
  return Filter(NodeOf([&] { return Combine(FilterNode::Kind::kNot, {&part, 1}); }));
}

void FilterNode::RestrictByPredicate(std::span<const ExternalId> points, bool* accepted) const {
  ExternalId asked[kMaxJudged];
  uint8_t answers[kMaxJudged] = {};
  size_t n = 0;
  for (size_t i = 0; i < points.size(); ++i)
    if (accepted[i]) asked[n++] = points[i];
  if (n == 0) return;
  try {
    predicate({asked, n}, {answers, n});
  } catch (const std::exception& e) {
    throw PredicateThrew{e.what()};
  } catch (...) {
    throw PredicateThrew{"something that is no std::exception"};
  }
  n = 0;
  for (size_t i = 0; i < points.size(); ++i)
    if (accepted[i]) accepted[i] = answers[n++] != 0;
}

void FilterNode::Restrict(const JudgedPoints& points, bool* accepted) const {
  const size_t n = points.size;
  bool open[kMaxJudged];  // What no part has accepted yet.
  bool now[kMaxJudged];
  switch (kind) {
    case Kind::kIds:
      for (size_t i = 0; i < n; ++i) accepted[i] = accepted[i] && ids->Contains(points.ids[i]);
      return;
    case Kind::kLabel:
      for (size_t i = 0; i < n; ++i)
        accepted[i] = accepted[i] &&
                      std::binary_search(points.labels[i].begin(), points.labels[i].end(), label);
      return;
    case Kind::kPredicate: return RestrictByPredicate(points.ids, accepted);
    case Kind::kAll:
      for (const NodePointer& part : parts) part->Restrict(points, accepted);
      return;
    case Kind::kAny:
      std::copy_n(accepted, n, open);
      std::fill_n(accepted, n, false);
      for (const NodePointer& part : parts) {
        std::copy_n(open, n, now);
        part->Restrict(points, now);
        for (size_t i = 0; i < n; ++i) {
          accepted[i] = accepted[i] || now[i];
          open[i] = open[i] && !now[i];
        }
      }
      return;
    case Kind::kNot:
      std::copy_n(accepted, n, now);
      parts.front()->Restrict(points, now);
      for (size_t i = 0; i < n; ++i) accepted[i] = accepted[i] && !now[i];
      return;
    case Kind::kInvalid: std::fill_n(accepted, n, false); return;
  }
}

const IdSet* FilterNode::Superset() const {
  if (kind == Kind::kIds) return &*ids;
  if (kind != Kind::kAll) return nullptr;
  const IdSet* smallest = nullptr;
  for (const NodePointer& part : parts) {
    const IdSet* const set = part->Superset();
    if (set != nullptr && (smallest == nullptr || set->size() < smallest->size())) smallest = set;
  }
  return smallest;
}

Status CheckFilter(const Filter* filter) {
  if (filter == nullptr || filter->node().kind != FilterNode::Kind::kInvalid) return {};
  return tl::unexpected(filter->node().error);
}

tl::unexpected<Error> ErrorOf(const PredicateThrew& threw) {
  return MakeError(ErrorCode::kInvalidArgument, "filter: its predicate threw: " + threw.what);
}

}  // namespace shoal
