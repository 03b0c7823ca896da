#include "runbook/history.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <unordered_map>
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

// Goes outwards from the query, a distance D after the other, and keeps count.
class History::Sweep {
 public:
  Sweep(const History& history, const TimedAnswer& answer, size_t k)
      : history_(history), answer_(answer), k_(k) {}

  // The points that have a vector at the next distance.
  void Begin() { at_.clear(); }
  void Meet(uint32_t id) {
    Point& point = points_[id];
    if (point.versions == 0) {
      point.versions = history_.VersionsOf(id, answer_.start, answer_.end);
      point.certain = history_.Certain(id, answer_.start, answer_.end);
      point.named = std::find(answer_.ids.begin(), answer_.ids.end(), id) != answer_.ids.end();
    }
    if (point.met_here++ == 0) at_.push_back(&point);
  }
  // That was all at this distance. True: nothing further out changes the bounds.
  bool End() {
    Largest();
    for (Point* point : at_) {
      const bool first = point->met == 0;
      point->met += std::exchange(point->met_here, 0);
      const bool must = point->certain && point->met == point->versions;
      Count& count = point->named ? named_ : others_;
      count.can += first ? 1 : 0;
      count.must += must ? 1 : 0;
    }
    if (named_.can + others_.can >= k_)
      least_ = std::min(least_, std::max(named_.must, Room(others_.can)));
    return least_ <= named_.must && (largest_ == k_ || named_.must + others_.must >= k_);
  }

  bool judged() const { return least_ != SIZE_MAX; }
  RecallBounds bounds() const {
    return {static_cast<double>(std::min(least_, k_)) / static_cast<double>(k_),
            static_cast<double>(largest_) / static_cast<double>(k_)};
  }

 private:
  struct Point {
    size_t versions = 0;  // Vectors that are possible.
    size_t met = 0;       // Of them, those nearer than D.
    size_t met_here = 0;  // At D.
    bool certain = false, named = false;
  };
  // Points with all distances so far.
  struct Count {
    size_t can = 0;   // Some vector that is possible is that near.
    size_t must = 0;  // It is there, and all are.
  };

  size_t Room(size_t taken) const { return k_ - std::min(k_, taken); }

  // Before the points at D are counted.
  void Largest() {
    if (named_.must + others_.must >= k_) return;
    size_t here = 0, rest = named_.can;
    for (const Point* point : at_) {
      if (!point->named) continue;
      ++here;
      if (point->met > 0) --rest;
    }
    const size_t hits = here + std::min(rest, k_ - 1 - others_.must);
    largest_ = std::max(largest_, std::min(k_, hits));
  }

  const History& history_;
  const TimedAnswer& answer_;
  const size_t k_;
  std::unordered_map<uint32_t, Point> points_;
  std::vector<Point*> at_;
  Count named_, others_;
  size_t least_ = SIZE_MAX, largest_ = 0;
};

Verdict History::Judge(const TimedAnswer& answer, const Nearest& nearest, size_t k,
                       RecallBounds& bounds) const {
  Sweep sweep(*this, answer, k);
  bool done = false;
  for (size_t i = 0; i < nearest.rows.size() && !done;) {
    const double distance = nearest.distances[i];
    sweep.Begin();
    for (; i < nearest.rows.size() &&
           (nearest.distances[i] == distance || nearest.distances[i] - distance < kTie);
         ++i) {
      const uint32_t row = nearest.rows[i];
      if (size_t{row} + 1 >= first_in_.size()) continue;
      for (uint32_t at = first_in_[row]; at < first_in_[row + 1]; ++at) {
        const PointEvent& event = events_[by_row_[at]];
        if (MayBeThere(event, answer.start, answer.end)) sweep.Meet(event.id);
      }
    }
    // The list may break off in the middle of a distance.
    if (i == nearest.rows.size() && !nearest.all) return Verdict::kNeedsMore;
    done = sweep.End();
  }
  if (!done && !nearest.all) return Verdict::kNeedsMore;
  if (!sweep.judged()) return Verdict::kTooFew;
  bounds = sweep.bounds();
  return Verdict::kJudged;
}

}  // namespace shoal::bench
