// What threads did to one id, with the times of call and return, and whether it can have happened
// one after another: a search over the orders that the times allow (Wing and Gong, "Testing and
// Verifying Concurrent Objects", 1993), for a thing that is absent or has one of many versions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <tuple>
#include <vector>

namespace shoal::testing {

enum class Kind : uint8_t { kInsert, kUpsert, kDelete, kGet, kContains };

inline constexpr uint64_t kAbsent = 0;  // No version has this number.

struct Event {
  uint64_t start = 0, end = 0;
  Kind kind = Kind::kGet;
  bool ok = false;
  uint64_t version = kAbsent;  // Written or, by a successful Get, read.

  // What becomes of the state; false: it cannot have been this event's turn.
  bool Apply(uint64_t& state) const {
    switch (kind) {
      case Kind::kInsert:
        if (state != kAbsent) return false;
        state = version;
        return ok;
      case Kind::kUpsert: state = version; return ok;
      case Kind::kDelete:
        if ((state != kAbsent) != ok) return false;
        state = kAbsent;
        return true;
      case Kind::kGet: return ok ? state == version : state == kAbsent;
      case Kind::kContains: return ok == (state != kAbsent);
    }
    return false;
  }
};

// Whether some order of the events, each between its call and its return, leads from `initial`
// through all of them.
class Linearization {
 public:
  explicit Linearization(std::vector<Event> events) : events_(std::move(events)) {
    std::sort(events_.begin(), events_.end(),
              [](const Event& a, const Event& b) { return a.start < b.start; });
  }
  bool Exists(uint64_t initial) { return From(0, {}, initial); }

 private:
  // Bit i: event first + i has had its turn, as all in front of `first` have. The last bit is set.
  using Done = std::vector<bool>;

  static bool Has(const Done& done, size_t i) { return i < done.size() && done[i]; }
  static Done With(Done done, size_t i) {
    if (i >= done.size()) done.resize(i + 1);
    done[i] = true;
    return done;
  }
  bool From(size_t first, Done done, uint64_t state) {
    const auto waits = std::find(done.begin(), done.end(), false);
    first += static_cast<size_t>(waits - done.begin());
    done.erase(done.begin(), waits);
    if (first == events_.size()) return true;
    if (!tried_.emplace(first, done, state).second) return false;
    // One of the events that began before any event without a turn ended is next.
    uint64_t earliest_end = UINT64_MAX;
    size_t end = 0;
    for (; first + end < events_.size() && events_[first + end].start <= earliest_end; ++end)
      if (!Has(done, end)) earliest_end = std::min(earliest_end, events_[first + end].end);
    for (size_t i = 0; i < end; ++i) {
      uint64_t next = state;
      if (!Has(done, i) && events_[first + i].start <= earliest_end &&
          events_[first + i].Apply(next) && From(first, With(done, i), next))
        return true;
    }
    return false;
  }

  std::vector<Event> events_;
  std::set<std::tuple<size_t, Done, uint64_t>> tried_;
};

// The moments at which a version can have been there, as far as the events tell.
class Lifetimes {
 public:
  explicit Lifetimes(const std::vector<Event>& events) {
    for (const Event& event : events) {
      if (!event.ok || event.kind == Kind::kGet || event.kind == Kind::kContains) continue;
      if (event.kind == Kind::kDelete) deletes_.push_back(event);
      if (event.kind != Kind::kDelete) writes_.push_back({event, UINT64_MAX});
    }
    for (Write& write : writes_) {
      const auto end_by = [&](const Event& event) {
        if (event.start > write.event.end) write.gone = std::min(write.gone, event.end);
      };
      for (const Event& event : deletes_) end_by(event);
      for (const Write& other : writes_) end_by(other.event);
    }
  }

  // Whether a version for which is_it(version) was there at some moment of [start, end], for all
  // that one can know.
  template <class IsIt>
  bool Possible(uint64_t start, uint64_t end, const IsIt& is_it) const {
    return std::any_of(writes_.begin(), writes_.end(), [&](const Write& write) {
      return write.event.start < end && write.gone > start && is_it(write.event.version);
    });
  }
  // Whether some version was there at every moment of [start, end].
  bool Certain(uint64_t start, uint64_t end) const {
    return std::any_of(writes_.begin(), writes_.end(), [&](const Write& write) {
      return write.event.end < start &&
             std::none_of(deletes_.begin(), deletes_.end(), [&](const Event& event) {
               return event.end > write.event.start && event.start < end;
             });
    });
  }
  // Narrows [from, to] to the moments t at which `version` can have been there: behind time t, and
  // before t + 1.
  void Narrow(uint64_t version, uint64_t& from, uint64_t& to) const {
    for (const Write& write : writes_) {
      if (write.event.version != version) continue;
      from = std::max(from, write.event.start);
      to = std::min(to, write.gone - 1);
    }
  }
  // Whether a write overlaps [start, end].
  bool Written(uint64_t start, uint64_t end) const {
    return std::any_of(writes_.begin(), writes_.end(), [&](const Write& write) {
      return write.event.end > start && write.event.start < end;
    });
  }

 private:
  struct Write {
    Event event;
    uint64_t gone;  // From when on it is certain that something came after it.
  };
  std::vector<Write> writes_;
  std::vector<Event> deletes_;
};

// Whether each id can have had its version of `versions`, or been absent, at one and the same
// moment t, from <= t <= to: behind time t, before t + 1.
inline bool OfOneMoment(const std::vector<uint64_t>& versions, const std::vector<Lifetimes>& lives,
                        uint64_t from, uint64_t to) {
  for (size_t id = 0; id < lives.size(); ++id)
    if (versions[id] != kAbsent) lives[id].Narrow(versions[id], from, to);
  for (uint64_t t = from; t <= to; ++t) {
    bool possible = true;
    for (size_t id = 0; id < lives.size() && possible; ++id)
      possible = versions[id] != kAbsent || !lives[id].Certain(t + 1, t + 1);
    if (possible) return true;
  }
  return false;
}

}  // namespace shoal::testing
