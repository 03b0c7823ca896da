#include "jobs/churn_points.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "runbook/pattern_tools.h"

namespace shoal::bench {

ChurnPoints::ChurnPoints(size_t rows, uint64_t seed, ClusterOrder regions)
    : random_(seed), is_live_(rows, false), regions_(std::move(regions)) {}

void ChurnPoints::Add(std::span<const ExternalId> ids) {
  live_.insert(live_.end(), ids.begin(), ids.end());
  for (const ExternalId id : ids) is_live_[id] = true;
}

void ChurnPoints::Remove(std::span<const ExternalId> ids) {
  for (const ExternalId id : ids) is_live_[id] = false;
  std::erase_if(live_, [&](ExternalId id) { return !is_live_[id]; });
}

ChurnPoints::Ids ChurnPoints::Oldest(size_t n) const {
  return {live_.begin(), live_.begin() + static_cast<ptrdiff_t>(std::min(n, live_.size()))};
}

ChurnPoints::Ids ChurnPoints::Any(size_t n) {
  Ids ids;
  for (const size_t at : Shuffled(random_, live_.size()))
    if (ids.size() < n) ids.push_back(live_[at]);
  return ids;
}

ChurnPoints::Ids ChurnPoints::Highest(size_t n, std::span<const uint32_t> values) const {
  std::vector<size_t> order(live_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] > values[b]; });
  Ids ids;
  for (size_t i = 0; i < std::min(n, order.size()); ++i) ids.push_back(live_[order[i]]);
  return ids;
}

ChurnPoints::Ids ChurnPoints::Next(size_t n) {
  Ids ids;
  n = std::min(n, is_live_.size() - live_.size());
  for (; ids.size() < n; next_ = (next_ + 1) % is_live_.size())
    if (!is_live_[next_]) ids.push_back(next_);
  return ids;
}

ChurnPoints::Ids ChurnPoints::Absent(size_t n) {
  Ids absent, ids;
  for (size_t row = 0; row < is_live_.size(); ++row)
    if (!is_live_[row]) absent.push_back(row);
  for (const size_t at : Shuffled(random_, absent.size()))
    if (ids.size() < n) ids.push_back(absent[at]);
  return ids;
}

ChurnPoints::Ids ChurnPoints::NextRegion(size_t most) {
  const size_t all = regions_.bounds.size();
  if (here_.size() == all) return {};
  while (std::find(here_.begin(), here_.end(), next_region_) != here_.end())
    next_region_ = (next_region_ + 1) % all;
  here_.push_back(next_region_);
  const size_t begin = regions_.bounds[next_region_];
  const size_t end =
      next_region_ + 1 < all ? regions_.bounds[next_region_ + 1] : regions_.rows.size();
  const auto first = regions_.rows.begin() + static_cast<ptrdiff_t>(begin);
  return {first, first + static_cast<ptrdiff_t>(std::min(most, end - begin))};
}

ChurnPoints::Ids ChurnPoints::OldestRegion() {
  if (here_.empty()) return {};
  const size_t region = here_.front(), all = regions_.bounds.size();
  here_.pop_front();
  const size_t end = region + 1 < all ? regions_.bounds[region + 1] : regions_.rows.size();
  Ids ids;
  for (size_t i = regions_.bounds[region]; i < end; ++i)
    if (is_live_[regions_.rows[i]]) ids.push_back(regions_.rows[i]);
  return ids;
}

}  // namespace shoal::bench
