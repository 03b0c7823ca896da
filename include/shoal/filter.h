// Filters: which points a search may return.
//
//   const shoal::Filter cheap = shoal::Filter::Ids(ids_below_ten_euros);
//   const shoal::Filter sold = shoal::Filter::Ids(sold_ids);
//   const shoal::Filter wanted = shoal::Filter::All({cheap, shoal::Filter::Not(sold)});
//   auto hits = index->Search(query, {.k = 10, .filter = &wanted});
//
// A search with a filter returns k hits wherever the filter accepts k points. It chooses how it
// finds them by what a sample of the points says of the filter, and never computes more than about
// 1.1 times as many distances as the filter accepts points: few of these are scored one by one;
// else the graph is traversed, with or without the points between them (docs/filters.md).
// WorkCounters says what was chosen.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <utility>

#include "shoal/export.h"
#include "shoal/types.h"

namespace shoal {

struct FilterNode;

// A small value that does not change; copies share what it holds. Any thread. Many searches may use
// one at the same time. Where there was no memory to make it, searches return OutOfMemory.
class SHOAL_API Filter {
 public:
  Filter(const Filter&) = default;  // Also where it is moved: there is no empty one.
  Filter& operator=(const Filter&) = default;
  ~Filter() = default;

  // Sets accepted[i], which is 0, to another value if the point ids[i] may be returned. Called for
  // up to some hundred ids at a time, none of them twice in a call, as often as a search needs;
  // searches on several threads call it at the same time. The answer for an id should stay the same
  // during a search. A search waits for it, and holds no lock meanwhile. It may call the index,
  // writing functions included, but Compact; memory of points that are deleted meanwhile is reused
  // after the search. What it throws ends the search with InvalidArgument.
  using Predicate =
      std::function<void(std::span<const ExternalId> ids, std::span<uint8_t> accepted)>;

  // Accepts these ids. Ids that are not in the index, or are there twice, do no harm.
  static Filter Ids(std::span<const ExternalId> ids);
  // Accepts points that have this label (Index::SetLabels).
  static Filter Label(uint32_t label);
  // Accepts what the predicate accepts. InvalidArgument by searches: it is empty.
  static Filter Where(Predicate predicate);
  // Accepts what each, or at least one, of `parts` accepts. A part is asked only about what the
  // parts before it have left open. InvalidArgument by searches: nested more than 100 deep.
  static Filter All(std::span<const Filter> parts);
  static Filter Any(std::span<const Filter> parts);
  static Filter All(std::initializer_list<Filter> parts) {
    return All(std::span<const Filter>(parts.begin(), parts.size()));
  }
  static Filter Any(std::initializer_list<Filter> parts) {
    return Any(std::span<const Filter>(parts.begin(), parts.size()));
  }
  // Accepts what `part` does not.
  static Filter Not(const Filter& part);

  // For the library.
  const FilterNode& node() const { return *node_; }
  const std::shared_ptr<const FilterNode>& shared_node() const { return node_; }

 private:
  explicit Filter(std::shared_ptr<const FilterNode> node) : node_(std::move(node)) {}
  std::shared_ptr<const FilterNode> node_;  // Never null.
};

}  // namespace shoal
