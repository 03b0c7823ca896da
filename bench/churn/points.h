// Which points of a file are live, and which come and go next.
#pragma once

#include <algorithm>
#include <istream>
#include <numeric>
#include <ostream>
#include <random>
#include <vector>

#include "churn/regions.h"
#include "shoal/types.h"

namespace shoal::bench {

class Points {
 public:
  using Ids = std::vector<ExternalId>;

  // rows: of the file that may come. region_of: of each its region; empty: nobody asks.
  Points(size_t rows, uint64_t seed, std::vector<uint32_t> region_of)
      : random_(seed), is_live_(rows, false), region_of_(std::move(region_of)) {}

  const Ids& live() const { return live_; }  // Oldest first.
  size_t rows() const { return is_live_.size(); }

  void Come(const Ids& ids) {
    live_.insert(live_.end(), ids.begin(), ids.end());
    for (const ExternalId id : ids) is_live_[id] = true;
  }
  void Go(const Ids& ids) {
    for (const ExternalId id : ids) is_live_[id] = false;
    std::erase_if(live_, [&](ExternalId id) { return !is_live_[id]; });
  }

  Ids Oldest(size_t n) const { return {live_.begin(), live_.begin() + static_cast<ptrdiff_t>(n)}; }
  Ids Any(size_t n) {
    Ids ids = live_;
    std::shuffle(ids.begin(), ids.end(), random_);
    ids.resize(std::min(n, ids.size()));
    return ids;
  }
  // n that are not live, in the order of the file and from its front again at its end.
  Ids Next(size_t n) {
    Ids ids;
    for (; ids.size() < n; next_ = (next_ + 1) % rows())
      if (!is_live_[next_]) ids.push_back(next_);
    return ids;
  }
  Ids Absent(size_t n) {
    Ids ids;
    std::vector<bool> taken = is_live_;
    while (ids.size() < n) {
      const size_t row = random_() % rows();
      if (taken[row]) continue;
      taken[row] = true;
      ids.push_back(row);
    }
    return ids;
  }

  // Of the next region that is not here, the first `most` rows; and all of the one that came first.
  Ids ComingRegion(size_t most) {
    while (std::find(regions_.begin(), regions_.end(), next_region_) != regions_.end())
      next_region_ = (next_region_ + 1) % kRegions;
    regions_.push_back(next_region_);
    return Region(next_region_, most);
  }
  Ids LeavingRegion(size_t most) {
    const size_t region = regions_.front();
    regions_.erase(regions_.begin());
    return Region(region, most);
  }

  // Between two runs of a job.
  void Save(std::ostream& out) const {
    out << random_ << '\n' << next_ << ' ' << next_region_ << ' ' << regions_.size();
    for (const size_t region : regions_) out << ' ' << region;
    out << '\n' << live_.size();
    for (const ExternalId id : live_) out << ' ' << id;
    out << '\n';
  }
  // False: this is not what Save wrote.
  bool Load(std::istream& in) {
    size_t regions = 0, live = 0;
    in >> random_ >> next_ >> next_region_ >> regions;
    regions_.resize(in && regions <= kRegions ? regions : 0);
    for (size_t& region : regions_) in >> region;
    in >> live;
    Ids ids(in && live <= rows() ? live : 0);
    for (ExternalId& id : ids) in >> id;
    if (!in || ids.empty() || *std::max_element(ids.begin(), ids.end()) >= rows()) return false;
    Come(ids);
    return true;
  }

 private:
  Ids Region(size_t region, size_t most) const {
    Ids ids;
    for (size_t row = 0; row < rows() && ids.size() < most; ++row)
      if (region_of_[row] == region) ids.push_back(row);
    return ids;
  }

  std::mt19937_64 random_;
  Ids live_;
  std::vector<bool> is_live_;
  size_t next_ = 0;
  const std::vector<uint32_t> region_of_;
  std::vector<size_t> regions_;  // Here, in the order in which they came.
  size_t next_region_ = 0;
};

}  // namespace shoal::bench
