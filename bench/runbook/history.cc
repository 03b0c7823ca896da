#include "runbook/history.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "runbook/track_recall.h"

namespace shoal::bench {
namespace {

constexpr uint32_t kDeleted = PointEvent::kDeleted;

}  // namespace

History::History(std::vector<PointEvent> events) : events_(std::move(events)) {
  std::sort(events_.begin(), events_.end(), [](const PointEvent& a, const PointEvent& b) {
    return std::tie(a.id, a.start, a.end) < std::tie(b.id, b.start, b.end);
  });
  uint32_t rows = 0;
  for (const PointEvent& event : events_) {
    first_of_.resize(std::max(first_of_.size(), size_t{event.id} + 2), 0);
    ++first_of_[event.id + 1];
    if (event.row != kDeleted) rows = std::max(rows, event.row + 1);
  }
  std::partial_sum(first_of_.begin(), first_of_.end(), first_of_.begin());
  first_in_.assign(size_t{rows} + 1, 0);
  for (uint32_t i = 0; i < events_.size(); ++i) {
    if (events_[i].row == kDeleted) continue;
    by_row_.push_back(i);
    ++first_in_[events_[i].row + 1];
  }
  std::stable_sort(by_row_.begin(), by_row_.end(),
                   [&](uint32_t a, uint32_t b) { return events_[a].row < events_[b].row; });
  std::partial_sum(first_in_.begin(), first_in_.end(), first_in_.begin());
}

std::span<const PointEvent> History::Of(uint32_t id) const {
  if (size_t{id} + 1 >= first_of_.size()) return {};
  return std::span(events_).subspan(first_of_[id], first_of_[id + 1] - first_of_[id]);
}

// `event` is one of events_: what follows it there may be what ended it.
bool History::MayBeThere(const PointEvent& event, uint64_t start, uint64_t end) const {
  if (event.row == kDeleted || event.start > end) return false;
  const PointEvent* const next = &event + 1;
  const bool ended = next != events_.data() + events_.size() && next->id == event.id;
  return !ended || next->end >= start;
}

size_t History::VersionsOf(uint32_t id, uint64_t start, uint64_t end) const {
  size_t versions = 0;
  Possible(id, start, end, [&](uint32_t) { ++versions; });
  return versions;
}

bool History::Certain(uint32_t id, uint64_t start, uint64_t end) const {
  bool there = false;
  for (const PointEvent& event : Of(id)) {
    if (event.end < start) {
      there = event.row != kDeleted;
    } else if (event.row == kDeleted && event.start <= end) {
      return false;
    }
  }
  return there;
}

std::vector<uint8_t> History::RowsUsed(size_t rows) const {
  std::vector<uint8_t> used(rows, 0);
  for (const uint32_t i : by_row_) used[events_[i].row] = 1;
  return used;
}

// Walks outwards from the query. A point counts at the first possible vector that is met, where S
// has it as near as can be, and else at the last, if it is certain.
Verdict History::Count(const TimedAnswer& answer, const Nearest& nearest, size_t k, Side side,
                       size_t& hits) const {
  size_t counted = 0;
  double kth = 0;
  std::map<uint32_t, size_t> met;  // Of points with several vectors.
  hits = 0;
  for (size_t i = 0; i < nearest.rows.size(); ++i) {
    const double distance = nearest.distances[i];
    if (counted >= k && distance - kth >= kTie) return Verdict::kJudged;
    const uint32_t row = nearest.rows[i];
    if (size_t{row} + 1 >= first_in_.size()) continue;
    for (uint32_t at = first_in_[row]; at < first_in_[row + 1]; ++at) {
      const PointEvent& event = events_[by_row_[at]];
      if (!MayBeThere(event, answer.start, answer.end)) continue;
      const bool named =
          std::find(answer.ids.begin(), answer.ids.end(), event.id) != answer.ids.end();
      const bool near = named == (side == Side::kLargest);
      const size_t versions = VersionsOf(event.id, answer.start, answer.end);
      const size_t meeting = versions == 1 ? 1 : ++met[event.id];
      if (meeting != (near ? 1 : versions)) continue;
      if (!near && !Certain(event.id, answer.start, answer.end)) continue;
      if (named) ++hits;
      if (++counted == k) kth = distance;
    }
  }
  if (!nearest.all) return Verdict::kNeedsMore;
  return counted >= k ? Verdict::kJudged : Verdict::kTooFew;
}

Verdict History::Judge(const TimedAnswer& answer, const Nearest& nearest, size_t k,
                       RecallBounds& bounds) const {
  size_t least = 0, largest = 0;
  Verdict verdict = Count(answer, nearest, k, Side::kLeast, least);
  if (verdict == Verdict::kJudged) verdict = Count(answer, nearest, k, Side::kLargest, largest);
  const auto share = [&](size_t hits) {
    return static_cast<double>(std::min(hits, k)) / static_cast<double>(k);
  };
  if (verdict == Verdict::kJudged) bounds = {share(least), share(largest)};
  return verdict;
}

}  // namespace shoal::bench
