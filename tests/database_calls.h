// Calls on a database, made by one thread and noted in memory that outlives it, for tests that end
// a writer at any moment: afterwards the file has the state after one of its calls, and of no
// earlier call than the last one that was told to be durable.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>
#include <random>
#include <unordered_map>
#include <vector>

#include "shoal/database.h"

namespace shoal {

inline constexpr uint32_t kCallsDim = 12;
inline constexpr uint32_t kCallsIds = 600;
// Index "b" has whole loads of so many points, at most kLoadsKept of them.
inline constexpr uint32_t kLoad = 2200, kLoadsKept = 3;
// Stands for the number of loads among the ids.
inline constexpr uint32_t kLoadsId = kCallsIds;

// A version says which vector an id has; 0: none.
struct NotedChange {
  uint32_t id, version;
};
struct NotedCalls {
  static constexpr uint32_t kMost = 1u << 17;
  NotedChange changes[kMost * 2];
  uint32_t ends[kMost];           // Changes of the calls up to each.
  std::atomic<uint32_t> begun;    // Calls that are noted,
  std::atomic<uint32_t> durable;  // and how many of them a killed process has left.
};

inline std::vector<float> VectorOf(ExternalId id, uint32_t version) {
  std::vector<float> v(kCallsDim);
  std::mt19937 random(static_cast<unsigned>(id * 7919 + version));
  std::normal_distribution<float> normal;
  for (float& x : v) x = normal(random);
  v[0] = static_cast<float>(id);
  v[1] = static_cast<float>(version);
  return v;
}

using Versions = std::unordered_map<uint32_t, uint32_t>;

inline Versions StateAfter(const NotedCalls& calls, uint32_t n) {
  Versions state;
  const uint32_t end = n == 0 ? 0 : calls.ends[n - 1];
  for (uint32_t i = 0; i < end; ++i) state[calls.changes[i].id] = calls.changes[i].version;
  std::erase_if(state, [](const auto& entry) { return entry.second == 0; });
  return state;
}

// Makes calls. Returns false when one fails; the caller knows whether it may.
class CallMaker {
 public:
  CallMaker(NotedCalls& calls, const std::filesystem::path& path, SyncLevel sync, unsigned seed)
      : calls_(calls), path_(path), sync_(sync), random_(seed) {
    state_ = StateAfter(calls_, calls_.begun.load());
  }
  static DatabaseOptions Options(SyncLevel sync) {
    return {.sync = sync, .interval_ms = 3, .pass_percent = 5, .least_changes = 60};
  }
  Status Open(RepairPolicy repair = {}) {
    Result<Database> database = Database::Open(path_, Options(sync_));
    if (!database) return tl::unexpected(database.error());
    database_.emplace(std::move(*database));
    for (const char* const name : {"a", "b"}) {
      Result<StoredIndex> index = database_->OpenIndex(name, {.runtime = {.repair = repair}});
      if (!index && index.error().code == ErrorCode::kNotFound)
        index = database_->CreateIndex(
            name,
            {.dim = kCallsDim, .max_degree = 8, .build_list_size = name[0] == 'a' ? 20u : 8u});
      if (!index) return tl::unexpected(index.error());
      indexes_.push_back(*index);
    }
    return {};
  }
  // Out of a hundred calls so many are loads, backups, and passes.
  struct Mix {
    uint32_t loads = 1, backups = 2, passes = 2;
  };
  Status Step(const Mix& mix) {
    const auto kind = random_() % 100;
    if (kind < mix.loads) return Load();
    if (kind < mix.loads + mix.passes) return database_->Pass();
    if (kind < mix.loads + mix.passes + mix.backups) return Backup();
    if (kind < 40) return WriteMany(2 + random_() % 10);
    if (kind < 45 && sync_ == SyncLevel::kInterval) return Flush();
    return WriteOne();
  }
  std::filesystem::path Copy() const { return path_.string() + ".copy"; }

 private:
  Status Backup() {
    std::filesystem::remove(Copy());
    return database_->Backup(Copy());
  }
  Status Flush() {
    const uint32_t begun = calls_.begun.load();
    Status ok = database_->Flush();
    if (ok) calls_.durable.store(begun);
    return ok;
  }
  // A change that the call under way makes.
  NotedChange Note(uint32_t id, bool may_go) {
    const bool goes = may_go && state_.contains(id) && random_() % 3 == 0;
    const NotedChange change{id, goes ? 0 : ++versions_ + calls_.begun.load() * 16};
    const uint32_t begun = calls_.begun.load();
    const uint32_t end = begun == 0 ? 0 : calls_.ends[begun - 1];
    calls_.changes[end + noted_++] = change;
    return change;
  }
  void Begin() {
    const uint32_t begun = calls_.begun.load();
    calls_.ends[begun] = (begun == 0 ? 0 : calls_.ends[begun - 1]) + noted_;
    calls_.begun.store(begun + 1);
  }
  // A call that failed has changed nothing.
  Status End(Status made, bool is_durable) {
    const uint32_t begun = calls_.begun.load();
    if (made) {
      const uint32_t end = calls_.ends[begun - 1];
      for (uint32_t i = end - noted_; i < end; ++i) {
        const NotedChange& change = calls_.changes[i];
        if (change.version == 0) {
          state_.erase(change.id);
        } else {
          state_[change.id] = change.version;
        }
      }
      if (is_durable) calls_.durable.store(begun);
    } else {
      calls_.begun.store(begun - 1);
    }
    noted_ = 0;
    return made;
  }
  Status WriteOne() {
    const NotedChange change = Note(static_cast<uint32_t>(random_() % kCallsIds), true);
    Begin();
    Status made = change.version == 0
                      ? indexes_[0].Delete(change.id)
                      : indexes_[0].Upsert(change.id, VectorOf(change.id, change.version));
    return End(std::move(made), sync_ != SyncLevel::kInterval);
  }
  Status WriteMany(size_t n) {
    std::vector<NotedChange> changes;
    const auto first = static_cast<uint32_t>(random_() % (kCallsIds - n));
    for (uint32_t i = 0; i < n; ++i) changes.push_back(Note(first + i, true));
    Begin();
    Result<Transaction> change = database_->Begin();
    Status made;
    for (const NotedChange& one : changes) {
      if (!made) break;
      made = one.version == 0 ? change->Delete(indexes_[0], one.id)
                              : change->Upsert(indexes_[0], one.id, VectorOf(one.id, one.version));
    }
    if (made) made = change->Commit();
    return End(std::move(made), true);
  }
  // Load i has ids from i * kLoad on; the one that is too many goes.
  Status Load() {
    const uint32_t loads = state_.contains(kLoadsId) ? state_[kLoadsId] : 0;
    const uint32_t begun = calls_.begun.load();
    const uint32_t end = begun == 0 ? 0 : calls_.ends[begun - 1];
    calls_.changes[end + noted_++] = {kLoadsId, loads + 1};
    Begin();
    std::vector<ExternalId> ids(kLoad);
    std::vector<float> rows;
    for (uint32_t i = 0; i < kLoad; ++i) {
      ids[i] = loads * kLoad + i;
      const std::vector<float> v = {static_cast<float>(random_() % 1000),
                                    static_cast<float>(random_() % 1000)};
      rows.insert(rows.end(), v.begin(), v.end());
      rows.resize(rows.size() + kCallsDim - v.size(), 1.0f);
    }
    Result<Transaction> change = database_->Begin();
    Status made;
    if (loads >= kLoadsKept)
      for (uint32_t i = 0; i < kLoad && made; ++i)
        made = change->Delete(indexes_[1], (loads - kLoadsKept) * kLoad + i);
    if (made) {
      const Result<BatchReport> report = change->InsertMany(
          indexes_[1], ids, MatrixView(std::span<const float>(rows), kCallsDim), {.threads = 1});
      if (!report) made = tl::unexpected(report.error());
    }
    if (made) made = change->Commit();
    return End(std::move(made), true);
  }

  NotedCalls& calls_;
  const std::filesystem::path path_;
  const SyncLevel sync_;
  std::mt19937 random_;
  std::optional<Database> database_;
  std::vector<StoredIndex> indexes_;
  Versions state_;
  uint32_t versions_ = 0;
  uint32_t noted_ = 0;
};

// What a reader (an Index, or a snapshot) has of the ids of index "a".
template <class Reader>
Versions VersionsIn(const Reader& reader) {
  Versions found;
  std::vector<float> v(kCallsDim);
  for (uint32_t id = 0; id < kCallsIds; ++id) {
    const Status got = reader.Get(id, v);
    if (!got) {
      EXPECT_EQ(got.error().code, ErrorCode::kNotFound) << got.error().message;
      continue;
    }
    found[id] = static_cast<uint32_t>(v[1]);
    EXPECT_EQ(v, VectorOf(id, found[id])) << "id " << id;
  }
  return found;
}

// What a file or a live index has.
struct FoundState {
  Versions versions;               // Of index "a".
  std::vector<ExternalId> loaded;  // Ids of index "b".

  bool Is(Versions state) const {
    const uint32_t loads = state.contains(kLoadsId) ? state[kLoadsId] : 0;
    state.erase(kLoadsId);
    const size_t kept = std::min(loads, kLoadsKept);
    if (state != versions || loaded.size() != kept * kLoad) return false;
    return std::all_of(loaded.begin(), loaded.end(), [&](ExternalId id) {
      return id >= (loads - kept) * kLoad && id < size_t{loads} * kLoad;
    });
  }
};

// Finds the call after which the state was so: one of [durable, begun].
inline uint32_t FindCall(const NotedCalls& calls, uint32_t durable, const FoundState& found) {
  for (uint32_t n = calls.begun.load();; --n) {
    if (found.Is(StateAfter(calls, n))) return n;
    if (n == durable) break;
  }
  std::string found_as;  // How far it is from the states after these calls, and of which it is.
  for (uint32_t n = 0; n <= calls.begun.load(); ++n) {
    const Versions state = StateAfter(calls, n);
    size_t others = 0;
    for (uint32_t id = 0; id < kCallsIds; ++id)
      others += state.contains(id) != found.versions.contains(id) ||
                (state.contains(id) && state.at(id) != found.versions.at(id));
    const uint32_t loads = state.contains(kLoadsId) ? state.at(kLoadsId) : 0;
    if (n >= durable || found.Is(state))
      found_as += "; call " + std::to_string(n) + ": " + std::to_string(others) +
                  " ids differ, loads " + std::to_string(loads);
  }
  ADD_FAILURE() << "the state of none of the calls " << durable << " to " << calls.begun.load()
                << "; loaded: " << found.loaded.size() << found_as;
  return durable;
}

// Snapshots of both indexes are good, and have the state after some call.
inline void ExpectGoodFile(const std::filesystem::path& path, const NotedCalls& calls,
                           uint32_t durable) {
  FoundState found;
  for (const char* const name : {"a", "b"}) {
    const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(path, name);
    if (!snapshot && (snapshot.error().code == ErrorCode::kFileNotFound ||
                      snapshot.error().code == ErrorCode::kNotFound))
      continue;  // Ended very early.
    ASSERT_TRUE(snapshot) << snapshot.error().message;
    const Status good = snapshot->Verify();
    EXPECT_TRUE(good) << name << ": " << good.error().message;
    if (name[0] == 'a') {
      found.versions = VersionsIn(*snapshot);
      EXPECT_EQ(found.versions.size(), snapshot->size());
    } else {
      found.loaded = *snapshot->Ids();
    }
  }
  FindCall(calls, durable, found);
}

}  // namespace shoal
