// Stress of the whole index with a history: what every call did is logged with the times of its
// call and return, on one clock, and checked when everything is at rest.
//
// A vector certifies its id and its version: a point of the id, moved by a little that follows from
// the version, which no other write has. All coordinates are multiples of 1/4 below 256, so that
// distances are exact and a hit's distance tells the version. What is checked after each round:
//   1. For each id there is an order of its inserts, upserts, deletes, Gets and Contains, each
//      between call and return, that explains all results, and what is there at rest (history.h).
//      An insert that was refused overlapped a write, or the id can have been there.
//   2. Every hit has the distance of a version that the id can have had at a moment of the search:
//      no deleted point, no vector of before an upsert, no other id's. Each id once, nearest first.
//   3. Ids() names each id once, and all that were there throughout.
//   4. A snapshot, taken by Save and loaded, holds the points, each with the vector, of one instant
//      of the call: so all that returned before it began, and nothing of what was called behind it.
//   5. CheckStructure, after a Consolidate, and of every loaded snapshot.
// And measured: an id that was there throughout a search for its vector at L = 64 is found
// (promise 2), also while it is upserted and relocated (promise 4).
// --threads: in all. The repair policy and the code change with every index, an index lasts a few
// rounds.
#include <algorithm>
#include <array>
#include <barrier>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>

#include "shoal/index.h"
#include "stress/history.h"
#include "stress/history_log.h"
#include "stress/stress.h"

namespace shoal::testing {
namespace {

constexpr int kCalls = 1500;  // Of one thread in one round.
constexpr int kRounds = 4;    // Of one index.

// Removed with what is in it.
class Folder {
 public:
  Folder() : path_((std::filesystem::temp_directory_path() / "shoal-history-XXXXXX").string()) {
    if (mkdtemp(path_.data()) == nullptr) std::perror(path_.c_str());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::filesystem::path operator/(const std::string& name) const {
    return std::filesystem::path(path_) / name;
  }

 private:
  std::string path_;
};

class HistoryStress {
 public:
  explicit HistoryStress(const StressOptions& options)
      : threads_(options.threads),
        is_long_(options.seconds >= 60),
        stress_("history_stress", options),
        logs_(threads_) {
    for (auto& latest : latest_) latest = kAbsent;
  }

  int Run() {
    NewIndex();
    const auto at_rest = [this]() noexcept { EndRound(); };
    std::barrier barrier(static_cast<ptrdiff_t>(threads_), at_rest);
    for (size_t i = 0; i < threads_; ++i) {
      stress_.Spawn([&, i](Random& random) {
        while (!done_) {  // Written by the barrier's completion only.
          for (int call = 0; call < kCalls; ++call) Call(random, logs_[i]);
          barrier.arrive_and_wait();
        }
      });
    }
    stress_.Join();
    if (missed_ > 3 + sought_ / 10000) stress_.Violation("more than 1 in 10,000 points not found");
    if (missed_in_motion_ > 3 + sought_in_motion_ / 1000)
      stress_.Violation("more than 1 in 1,000 points not found while they were upserted");
    if (is_long_ && restarts_ == 0) stress_.Violation("no prune started again");
    return stress_.Finish(Figures(), {{"prune restarts", restarts_},
                                      {"missed", missed_},
                                      {"missed in motion", missed_in_motion_},
                                      {"hits of vectors just left", just_left_}});
  }

 private:
  // What a run must have done, each at least once.
  std::vector<Stress::Figure> Figures() const {
    return {{"rounds", rounds_},
            {"inserts", inserts_},
            {"refused reservations", refused_},
            {"upserts", upserts_},
            {"deletes", deletes_},
            {"nothing to delete", not_found_},
            {"searches", searches_},
            {"hits", hits_},
            {"sought", sought_},
            {"sought in motion", sought_in_motion_},
            {"gets", gets_},
            {"refines", refines_},
            {"consolidates", consolidates_},
            {"compacts", compacts_},
            {"saves", saves_},
            {"readable to unreadable", retired_},
            {"slots reused", reused_}};
  }

  uint64_t Now() { return clock_.fetch_add(1, std::memory_order_seq_cst); }

  void NewIndex() {
    if (index_ != nullptr) {
      if (const Status cleared = index_->Clear(); !cleared) Fail("clear", cleared.error());
      stress_.Check(index_->size() == 0 && index_->Stats().edges == 0, "something survives Clear");
    }
    const Code code = indexes_ % 2 == 0 ? Code::kFull : Code::kFloat16;  // Hits are reranked.
    const auto policy = static_cast<RepairPolicy>(indexes_++ % 3);
    index_ = std::make_unique<Index>(
        *Index::Create({.dim = kDim,
                        .code = code,
                        .max_degree = 12,
                        .build_list_size = 30,
                        .runtime = {.repair = policy, .repair_threads = 2}}));
    before_ = {};
    initial_.assign(kIds, kAbsent);
    for (auto& latest : latest_) latest = kAbsent;
    published_ = 0;
  }

  // --- Calls, by all threads.

  ExternalId Pick(Random& random) { return random.Below(random.OneIn(2) ? kHotIds : kIds); }

  void Call(Random& random, Log& log) {
    const ExternalId id = Pick(random);
    const uint64_t kind = random.Below(2000);
    if (kind < 400) return Write(Kind::kInsert, id, log);
    if (kind < 750) return Write(Kind::kUpsert, id, log);
    if (kind < 1150) return Delete(id, log);
    if (kind < 1400) return Search(VectorOf(id, random.Below(64)), std::nullopt, log);
    if (kind < 1650) return Seek(id, log);
    if (kind < 1900) return Get(id, log);
    if (kind < 1980) return Contains(id, log);
    if (kind < 1988) return AllIds(log);
    if (kind < 1994) return Consolidate();
    if (kind < 1997) return Compact();
    if (kind < 1999) return Save(log);
    Refine(random);
  }

  void Fail(const char* what, const Error& error) {
    stress_.Violation(std::string(what) + ": " + error.message);
  }

  void Write(Kind kind, ExternalId id, Log& log) {
    Event event{.kind = kind};
    event.version = versions_.fetch_add(1, std::memory_order_relaxed) + 1;
    const Vector vector = VectorOf(id, event.version);
    event.start = Now();
    const Status written =
        kind == Kind::kInsert ? index_->Insert(id, vector) : index_->Upsert(id, vector);
    event.end = Now();
    event.ok = written.has_value();
    log.events.emplace_back(id, event);
    if (written) {
      ++published_;
      ++(kind == Kind::kInsert ? inserts_ : upserts_);
      latest_[id].store(event.version, std::memory_order_relaxed);
    } else if (kind == Kind::kInsert && written.error().code == ErrorCode::kAlreadyExists) {
      ++refused_;
    } else {
      Fail("write", written.error());
    }
  }

  void Delete(ExternalId id, Log& log) {
    Event event{.kind = Kind::kDelete};
    event.start = Now();
    const Status deleted = index_->Delete(id);
    event.end = Now();
    event.ok = deleted.has_value();
    log.events.emplace_back(id, event);
    ++(deleted ? deletes_ : not_found_);
    if (!deleted && deleted.error().code != ErrorCode::kNotFound) Fail("delete", deleted.error());
  }

  void Get(ExternalId id, Log& log) {
    Event event{.kind = Kind::kGet};
    Vector vector{};
    event.start = Now();
    event.ok = index_->Get(id, vector).has_value();
    event.end = Now();
    log.events.emplace_back(id, event);
    log.got.emplace_back(id, vector);
    ++gets_;
  }

  void Contains(ExternalId id, Log& log) {
    Event event{.kind = Kind::kContains};
    event.start = Now();
    event.ok = index_->Contains(id);
    event.end = Now();
    log.events.emplace_back(id, event);
  }

  void Search(const Vector& query, std::optional<ExternalId> sought, Log& log) {
    SearchEvent event;
    event.query = query;
    event.sought = sought;
    const SearchOptions options{.k = sought ? size_t{4} : size_t{10}, .search_list_size = 64};
    event.start = Now();
    auto hits = index_->Search(query, options);
    event.end = Now();
    if (!hits) return Fail("search", hits.error());
    event.hits = std::move(*hits);
    log.searches.push_back(std::move(event));
    ++searches_;
  }
  void Seek(ExternalId id, Log& log) {
    Search(VectorOf(id, latest_[id].load(std::memory_order_relaxed)), id, log);
  }

  void AllIds(Log& log) {
    IdsEvent event;
    event.start = Now();
    auto ids = index_->Ids();
    event.end = Now();
    if (!ids) return Fail("ids", ids.error());
    event.ids = std::move(*ids);
    log.all_ids.push_back(std::move(event));
  }

  void Consolidate() {
    if (const Status done = index_->Consolidate({.threads = 1}); !done)
      Fail("consolidate", done.error());
    ++consolidates_;
  }
  void Compact() {
    if (const auto done = index_->Compact({.threads = 1}); !done) Fail("compact", done.error());
    ++compacts_;
  }
  void Refine(Random& random) {
    if (const Status done = index_->Refine({.threads = 1 + random.Below(2)}); !done)
      Fail("refine", done.error());
    ++refines_;
  }

  void Save(Log& log) {
    SnapshotEvent event;
    const auto path = folder_ / std::to_string(saves_++);
    event.start = Now();
    const Status saved = index_->Save(path);
    event.end = Now();
    if (!saved) return Fail("save", saved.error());
    const auto loaded = Index::Load(path, {.batch = {.threads = 1}});
    std::filesystem::remove(path);
    if (!loaded) return Fail("load", loaded.error());
    const Status whole = loaded->CheckStructure();
    if (!whole) return Fail("snapshot", whole.error());
    const auto ids = loaded->Ids();
    if (!ids) return Fail("ids of a snapshot", ids.error());
    for (const ExternalId id : *ids) {
      event.points.emplace_back(id, Vector{});
      stress_.Check(loaded->Get(id, event.points.back().second).has_value(), "get");
    }
    log.snapshots.push_back(std::move(event));
  }

  // --- Checks, at rest.

  void EndRound() {
    std::vector<std::vector<Event>> events(kIds);
    std::vector<Lifetimes> lives;
    Collect(events);
    lives.reserve(kIds);
    for (const auto& of_id : events) lives.emplace_back(of_id);
    for (ExternalId id = 0; id < kIds; ++id) CheckHistory(id, events[id], lives[id]);
    for (Log& log : logs_) {
      for (const SearchEvent& event : log.searches) CheckSearch(event, lives);
      for (const IdsEvent& event : log.all_ids) CheckIds(event, lives);
      for (const SnapshotEvent& event : log.snapshots) CheckSnapshot(event, events, lives);
      log.Clear();
    }
    CheckAtRest();
    ++rounds_;
    done_ = !stress_.Running(Figures());
    if (!done_ && rounds_ % kRounds == 0) NewIndex();
  }

  // By id: what was there in the beginning, what was done, and what is there in the end.
  void Collect(std::vector<std::vector<Event>>& events) {
    Log at_rest;
    for (ExternalId id = 0; id < kIds; ++id) {
      if (initial_[id] != kAbsent)
        events[id].push_back({.kind = Kind::kUpsert, .ok = true, .version = initial_[id]});
      Get(id, at_rest);
    }
    for (const Log& log : logs_)
      for (const auto& [id, event] : log.events)
        if (event.kind == Kind::kInsert || event.kind == Kind::kUpsert) events[id].push_back(event);
    for (const Log& log : logs_) CollectReads(log, events);
    CollectReads(at_rest, events);
    for (ExternalId id = 0; id < kIds; ++id) {
      const Event& last = events[id].back();
      initial_[id] = last.ok ? last.version : kAbsent;
    }
  }

  void CollectReads(const Log& log, std::vector<std::vector<Event>>& events) {
    auto got = log.got.begin();
    for (auto [id, event] : log.events) {
      if (event.kind == Kind::kInsert || event.kind == Kind::kUpsert) continue;
      if (event.kind == Kind::kGet) {
        const Vector& vector = (got++)->second;
        if (event.ok) event.version = VersionOf(id, vector, events[id]);
      }
      events[id].push_back(event);
    }
  }

  uint64_t VersionOf(ExternalId id, const Vector& vector, const std::vector<Event>& events) {
    for (const Event& event : events)
      if (event.version != kAbsent && VectorOf(id, event.version) == vector) return event.version;
    stress_.Violation("id " + std::to_string(id) + " has a vector that it was never given");
    return kAbsent;
  }

  void CheckHistory(ExternalId id, const std::vector<Event>& events, const Lifetimes& life) {
    std::vector<Event> turns;
    for (const Event& event : events) {
      if (event.kind != Kind::kInsert || event.ok) {
        turns.push_back(event);
        continue;
      }
      // A reserved id is taken for inserts, and absent for all others.
      const bool overlaps = std::any_of(events.begin(), events.end(), [&](const Event& other) {
        return (other.kind == Kind::kInsert || other.kind == Kind::kUpsert) &&
               other.version != event.version && other.end > event.start && other.start < event.end;
      });
      if (!overlaps && !life.Possible(event.start, event.end, [](uint64_t) { return true; }))
        stress_.Violation("id " + std::to_string(id) + ": refused, and no call can have it");
    }
    // What was there in the beginning is the first of them.
    if (!Linearization(turns).Exists(kAbsent))
      stress_.Violation("id " + std::to_string(id) + ": no order explains what its " +
                        std::to_string(turns.size()) + " calls returned");
  }

  void CheckSearch(const SearchEvent& event, const std::vector<Lifetimes>& lives) {
    std::set<ExternalId> seen;
    float last = 0;
    for (const Hit& hit : event.hits) {
      if (hit.id >= kIds) return stress_.Violation("a hit that was never inserted");
      if (!seen.insert(hit.id).second) stress_.Violation("a search returned an id twice");
      if (hit.distance < last) stress_.Violation("hits are not nearest first");
      last = hit.distance;
      const auto is_it = [&](uint64_t version) {
        return Distance(event.query, VectorOf(hit.id, version)) == hit.distance;
      };
      if (!lives[hit.id].Possible(event.start, event.end, is_it))
        stress_.Violation("id " + std::to_string(hit.id) +
                          " at a distance of no vector that it can have had");
      if (!lives[hit.id].Possible(event.end, event.end, is_it)) ++just_left_;
    }
    hits_ += event.hits.size();
    if (!event.sought || !lives[*event.sought].Certain(event.start, event.end)) return;
    const bool in_motion = lives[*event.sought].Written(event.start, event.end);
    ++(in_motion ? sought_in_motion_ : sought_);
    if (!seen.contains(*event.sought)) ++(in_motion ? missed_in_motion_ : missed_);
  }

  void CheckIds(const IdsEvent& event, const std::vector<Lifetimes>& lives) {
    std::vector<bool> named(kIds, false);
    for (const ExternalId id : event.ids) {
      if (id >= kIds || named[id])
        return stress_.Violation("Ids names an id twice, or a false one");
      named[id] = true;
      if (!lives[id].Possible(event.start, event.end, [](uint64_t) { return true; }))
        stress_.Violation("Ids names " + std::to_string(id) + ", which was not there");
    }
    for (ExternalId id = 0; id < kIds; ++id)
      if (!named[id] && lives[id].Certain(event.start, event.end))
        stress_.Violation("Ids misses " + std::to_string(id));
  }

  void CheckSnapshot(const SnapshotEvent& snapshot, const std::vector<std::vector<Event>>& events,
                     const std::vector<Lifetimes>& lives) {
    std::vector<uint64_t> versions(kIds, kAbsent);
    for (const auto& [id, vector] : snapshot.points) {
      if (id >= kIds || versions[id] != kAbsent)
        return stress_.Violation("a snapshot has an id twice, or a false one");
      versions[id] = VersionOf(id, vector, events[id]);
    }
    if (!OfOneMoment(versions, lives, snapshot.start, snapshot.end - 1))
      stress_.Violation("a snapshot is of no instant of its Save");
  }

  void CheckAtRest() {
    Consolidate();
    const Status whole = index_->CheckStructure();
    if (!whole) stress_.Violation(whole.error().message);
    const IndexStats stats = index_->Stats();
    const auto there = static_cast<size_t>(std::count_if(
        initial_.begin(), initial_.end(), [](uint64_t version) { return version != kAbsent; }));
    stress_.Check(index_->size() == there, "ids and points do not add up");
    stress_.Check(stats.pending_repairs == 0, "repairs are left after Consolidate");
    if (published_ > stats.slots_used) reused_ += published_ - stats.slots_used;
    published_ = stats.slots_used;
    const IndexDiagnostics inner = index_->Diagnostics();
    retired_ += inner.retirements - before_.retirements;
    restarts_ += inner.restarts - before_.restarts;
    before_ = inner;
  }

  const size_t threads_;
  const bool is_long_;  // Long enough for what is rare to happen.
  Stress stress_;
  const Folder folder_;
  std::unique_ptr<Index> index_;
  std::vector<Log> logs_;  // Of each thread.
  std::array<std::atomic<uint64_t>, kIds> latest_;
  std::atomic<uint64_t> clock_{1}, versions_{0}, published_{0};
  // Written between rounds.
  std::vector<uint64_t> initial_;  // Version of each id when the round begins.
  IndexDiagnostics before_;        // When the last round ended.
  bool done_ = false;
  uint64_t indexes_ = 0, rounds_ = 0, hits_ = 0, sought_ = 0, sought_in_motion_ = 0, missed_ = 0,
           missed_in_motion_ = 0, reused_ = 0, retired_ = 0, restarts_ = 0, just_left_ = 0;
  std::atomic<uint64_t> inserts_{0}, refused_{0}, upserts_{0}, deletes_{0}, not_found_{0},
      searches_{0}, gets_{0}, refines_{0}, consolidates_{0}, compacts_{0}, saves_{0};
};

}  // namespace
}  // namespace shoal::testing

int main(int argc, char** argv) {
  shoal::testing::StressOptions options;
  if (!shoal::testing::ParseStressOptions(argc, argv, options)) return 2;
  return std::make_unique<shoal::testing::HistoryStress>(options)->Run();
}
