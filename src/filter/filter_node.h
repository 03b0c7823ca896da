// What a Filter holds: an expression, evaluated for batches of points.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "filter/id_set.h"
#include "shoal/filter.h"
#include "shoal/result.h"

namespace shoal {

// Points that are judged together.
inline constexpr size_t kMaxJudged = 640;

// A predicate has thrown. It leaves the search by way of what catches bad_alloc, too.
struct PredicateThrew {
  std::string what;
};

// What is judged: as many of both, or none of what the filter does not read.
struct JudgedPoints {
  size_t size = 0;
  std::span<const ExternalId> ids;
  std::span<const std::span<const uint32_t>> labels;  // Of each point: ascending.
};

struct FilterNode {
  enum class Kind : uint8_t { kIds, kLabel, kPredicate, kAll, kAny, kNot, kInvalid };

  // accepted[i] &= whether point i, of at most kMaxJudged, is accepted. Of a point whose flag is
  // false nothing is asked. May throw PredicateThrew and bad_alloc.
  void Restrict(const JudgedPoints& points, bool* accepted) const;

  // Of which the filter accepts a part at most: the smallest such set. Null: there is none.
  const IdSet* Superset() const;

  Kind kind = Kind::kInvalid;
  std::optional<IdSet> ids;                              // kIds
  uint32_t label = 0;                                    // kLabel
  Filter::Predicate predicate;                           // kPredicate
  std::vector<std::shared_ptr<const FilterNode>> parts;  // kAll, kAny; kNot: one.
  Error error;                                           // kInvalid
  size_t depth = 1;
  bool has_predicate = false;  // It, or a part.
  bool reads_ids = false;      // Likewise,
  bool reads_labels = false;   // and this.

 private:
  void RestrictByPredicate(std::span<const ExternalId> points, bool* accepted) const;
};

// What is wrong with a filter that a search is given; null is no filter.
Status CheckFilter(const Filter* filter);
tl::unexpected<Error> ErrorOf(const PredicateThrew& threw);

}  // namespace shoal
