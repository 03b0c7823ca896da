// No thread waits for another for ever: readers that do not leave. (held_races_test.cc: work that
// stands still.) Each test holds threads at sync points (support/sequencer.h) and lets everybody
// else do everything meanwhile. docs/peer_bugs.md says which bugs of other engines these are;
// docs/concurrency.md, promises 1, 6 and 7, what is promised here.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "shoal/index.h"
#include "support/sequencer.h"
#include "support/told_points.h"
#include "tests/print_types.h"

namespace shoal::testing {
namespace {

using Clock = std::chrono::steady_clock;
float Distance(const Vector& a, const Vector& b) {
  float sum = 0;
  for (size_t i = 0; i < kDim; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

std::string NameOf(RepairPolicy policy) {
  if (policy == RepairPolicy::kImmediate) return "immediate";
  return policy == RepairPolicy::kBackground ? "background" : "manual";
}

// --- Readers that do not leave.

// An index with readers held in it, and an account of what has been written since.
class HeldReaders {
 public:
  static constexpr ExternalId kIds = 150;

  HeldReaders(RepairPolicy policy, Sequencer& sequencer)
      : policy_(policy), sequencer_(sequencer), index_(Make(policy)), versions_(kIds, 0) {
    for (ExternalId id = 0; id < kIds; ++id) ExpectGood(index_.Insert(id, VectorOf(id, 0)));
    pin_ = index_.Diagnostics().epoch;
    Hold("before", [this] { Search(); }, {"search.after_high_water"});
    Hold("between hops", [this] { Search(); }, {"search.after_copy", "search.after_copy"});
    // It has found some rows readable, and is about to read them.
    Hold("before reading", [this] { Search(); },
         {"search.after_copy", "search.after_copy", "search.after_tag_check"});
    Hold("range", [this] { SearchRange(); }, {"search.after_copy", "search.after_tag_check"});
    Hold("get", [this] { Get(); }, {"get.looked_up"});
  }
  ~HeldReaders() {
    for (const std::string& name : names_) sequencer_.RunToEnd(name);
  }
  HeldReaders(const HeldReaders&) = delete;
  HeldReaders& operator=(const HeldReaders&) = delete;

  // Gives `n` ids new vectors, in turn by Upsert and by Delete and Insert. Each takes one slot and
  // gives one back, as soon as it may be used again.
  void Update(size_t n) {
    for (size_t i = 0; i < n; ++i, ++updates_) {
      const ExternalId id = updates_ % kIds;
      const Vector vector = VectorOf(id, ++versions_[id]);
      if (updates_ / kIds % 2 == 0) {
        ExpectGood(index_.Upsert(id, vector));
      } else {
        ExpectGood(index_.Delete(id));
        ExpectGood(index_.Insert(id, vector));
      }
    }
    Settle();
  }

  // No reader has left: nothing is reused, everything that is deleted is repaired and waits.
  void ExpectHeld() {
    const IndexStats stats = index_.Stats();
    ASSERT_EQ(stats.points, kIds);
    ASSERT_EQ(stats.pending_repairs, 0u);
    ASSERT_EQ(stats.retired_slots, updates_);
    ASSERT_EQ(stats.slots_used, 1 + kIds + updates_) << "a fresh slot for each, and the start";
    const IndexDiagnostics inner = index_.Diagnostics();
    ASSERT_EQ(inner.oldest_pin, pin_);
    ASSERT_LE(inner.epoch, pin_ + 1);
    const ExternalId id = updates_ * 7 % kIds;
    const Vector vector = VectorOf(id, versions_[id]);
    const auto hits = index_.Search(vector, {.k = 1, .search_list_size = kIds});
    ASSERT_TRUE(hits);
    ASSERT_EQ(hits->size(), 1u);
    ASSERT_EQ(hits->front().id, id) << "others search as ever";
    ASSERT_EQ(hits->front().distance, 0.0f);
  }

  void Release() {
    for (const std::string& name : names_) ASSERT_TRUE(sequencer_.RunToEnd(name)) << name;
  }

  // What was retired serves further updates, and then the memory goes back.
  void ExpectAllComesBack() {
    const IndexStats held = index_.Stats();
    ASSERT_NO_FATAL_FAILURE(AwaitThatNobodyReads());
    const uint64_t more = std::min<uint64_t>(updates_, 20000);
    // The first few come before the epoch has moved on by a whole grace period: each moves it, as
    // a repairer that is slow to leave would not let it. From then on there is room for all.
    constexpr int kFirst = 8;
    for (int i = 0; i < kFirst; ++i) {
      Update(1);
      ASSERT_NO_FATAL_FAILURE(AwaitThatNobodyReads());
    }
    for (uint64_t i = 0; i < more; i += 100) Update(100);
    EXPECT_LE(index_.Stats().slots_used, held.slots_used + kFirst);
    EXPECT_LT(index_.Stats().retired_slots, held.retired_slots);
    // A repairer in the background may be about to leave: it, too, is a reader.
    for (int tries = 0; index_.Stats().retired_slots > 0; ++tries) {
      ASSERT_LT(tries, 1000);
      ExpectGood(index_.Consolidate());
    }
    ASSERT_TRUE(index_.Compact());
    EXPECT_LE(index_.Stats().slots_used, kIds + 20);
    EXPECT_LE(index_.Stats().memory.total(), held.memory.total());
    ExpectGood(index_.CheckStructure());
    EXPECT_EQ(index_.size(), kIds);
    for (ExternalId id = 0; id < kIds; ++id) {
      const auto hits =
          index_.Search(VectorOf(id, versions_[id]), {.k = 1, .search_list_size = kIds});
      ASSERT_TRUE(hits);
      EXPECT_EQ(hits->front().id, id);
    }
  }

  const Index& index() const { return index_; }
  uint64_t updates() const { return updates_; }

 private:
  static Index Make(RepairPolicy policy) {
    return *Index::Create({.dim = kDim,
                           .max_degree = 8,
                           .build_list_size = 20,
                           .runtime = {.repair = policy, .repair_threads = 2}});
  }

  void Hold(const std::string& name, const std::function<void()>& read,
            const std::vector<std::string>& points) {
    names_.push_back(NameOf(policy_) + ", " + name);
    sequencer_.Start(names_.back(), read);
    for (const std::string& point : points)
      EXPECT_TRUE(sequencer_.RunTo(names_.back(), point)) << names_.back() << " to " << point;
  }

  // Pending repairs come to 0: in the background by themselves.
  void Settle() {
    if (policy_ == RepairPolicy::kBackground) {
      const auto patience = Clock::now() + Sequencer::kPatience;
      while (index_.Stats().pending_repairs > 0 && Clock::now() < patience)
        std::this_thread::yield();
    } else if (policy_ == RepairPolicy::kImmediate) {
      EXPECT_EQ(index_.Stats().pending_repairs, 0u);
    }
    if (policy_ != RepairPolicy::kBackground) ExpectGood(index_.Consolidate());
  }

  void AwaitThatNobodyReads() {
    const auto patience = Clock::now() + Sequencer::kPatience;
    for (IndexDiagnostics inner = index_.Diagnostics(); inner.oldest_pin != inner.epoch;
         inner = index_.Diagnostics()) {
      ASSERT_LT(Clock::now(), patience);
      std::this_thread::yield();
    }
  }

  // --- What the held threads do.

  // Each hit once, nearest first, at the distance of a vector that its id had.
  void ExpectGenuine(const Vector& query, const std::vector<Hit>& hits) {
    std::set<ExternalId> seen;
    float last = 0;
    EXPECT_FALSE(hits.empty());
    for (const Hit& hit : hits) {
      ASSERT_LT(hit.id, kIds);
      EXPECT_TRUE(seen.insert(hit.id).second) << "id " << hit.id << " twice";
      EXPECT_LE(last, hit.distance);
      last = hit.distance;
      bool genuine = false;
      for (uint64_t version = 0; version <= versions_[hit.id] && !genuine; ++version)
        genuine = Distance(query, VectorOf(hit.id, version)) == hit.distance;
      EXPECT_TRUE(genuine) << "id " << hit.id << " at a distance of no vector of its";
    }
  }
  void Search() {
    const Vector query = VectorOf(3, 0);
    const auto hits = index_.Search(query, {.k = kIds, .search_list_size = kIds});
    ASSERT_TRUE(hits);
    ExpectGenuine(query, *hits);
  }
  void SearchRange() {
    const Vector query = VectorOf(4, 0);
    const auto hits = index_.RangeSearch(query, {.radius = 1e9f, .search_list_size = kIds});
    ASSERT_TRUE(hits);
    ExpectGenuine(query, *hits);
  }
  void Get() {
    Vector vector{};
    ExpectGood(index_.Get(7, vector));
    EXPECT_EQ(vector, VectorOf(7, 0)) << "as it was when it was looked up";
  }

  const RepairPolicy policy_;
  Sequencer& sequencer_;
  Index index_;
  std::vector<uint64_t> versions_;  // By id. Held readers look at it when they are released.
  std::vector<std::string> names_;
  uint64_t pin_ = 0;
  uint64_t updates_ = 0;
};

class UnderHeldReaders : public ::testing::TestWithParam<RepairPolicy> {};
INSTANTIATE_TEST_SUITE_P(EveryPolicy, UnderHeldReaders,
                         ::testing::Values(RepairPolicy::kImmediate, RepairPolicy::kBackground,
                                           RepairPolicy::kManual),
                         [](const auto& suite) { return NameOf(suite.param); });

// turbovec #484 (a delete waits behind searches), DiskANN's reader-preferring update lock, and the
// long-lived reader that stops reclamation.
TEST_P(UnderHeldReaders, WritersAndRepairsGoOnNothingIsReusedAndAfterwardsAllComesBack) {
  Sequencer sequencer;
  HeldReaders held(GetParam(), sequencer);
  for (int round = 0; round < 20; ++round) {
    held.Update(100);
    ASSERT_NO_FATAL_FAILURE(held.ExpectHeld()) << "round " << round;
  }
  ASSERT_NO_FATAL_FAILURE(held.Release());
  ASSERT_NO_FATAL_FAILURE(held.ExpectAllComesBack());
}

TEST(LongUnderHeldReaders, WritersAndRepairsGoOnForAMinute) {
  Sequencer sequencer;
  std::vector<std::unique_ptr<HeldReaders>> all;
  for (const auto policy :
       {RepairPolicy::kImmediate, RepairPolicy::kBackground, RepairPolicy::kManual})
    all.push_back(std::make_unique<HeldReaders>(policy, sequencer));
  const auto end = Clock::now() + std::chrono::seconds(60);
  while (Clock::now() < end) {
    for (auto& held : all) {
      held->Update(500);
      ASSERT_NO_FATAL_FAILURE(held->ExpectHeld());
    }
  }
  for (auto& held : all) {
    std::cout << held->updates() << " updates, " << held->index().Stats().memory.total() / 1000000
              << " MB held, ";
    ASSERT_NO_FATAL_FAILURE(held->Release());
    ASSERT_NO_FATAL_FAILURE(held->ExpectAllComesBack());
    std::cout << held->index().Stats().memory.total() / 1000000 << " MB afterwards\n";
  }
}

// At the limit a held reader keeps inserts from room that deletes have made; they find it as soon
// as the reader has left, not some attempts later.
TEST(AtTheMemoryLimit, AnInsertFindsTheRoomThatAReaderKeptAsSoonAsItHasLeft) {
  constexpr size_t kWide = 256;
  const auto wide = [](ExternalId id) {
    std::vector<float> vector(kWide);
    for (size_t i = 0; i < kWide; ++i) vector[i] = VectorOf(id * kWide + i, 0)[0];
    return vector;
  };
  Index index = *Index::Create({.dim = kWide,
                                .max_degree = 8,
                                .build_list_size = 10,
                                .runtime = {.memory_limit = uint64_t{20} << 20}});
  ExternalId n = 0;
  while (index.Insert(n, wide(n))) ++n;
  ASSERT_GT(n, 2000u);
  Sequencer sequencer;
  sequencer.Start("search", [&] { EXPECT_TRUE(index.Search(wide(1))); });
  ASSERT_TRUE(sequencer.RunTo("search", "search.after_copy"));
  for (ExternalId id = 0; id < 20; ++id) ExpectGood(index.Delete(id));
  ExpectGood(index.Consolidate());
  const Status refused = index.Insert(n, wide(n));
  ASSERT_FALSE(refused) << "all room that there is may still be read";
  EXPECT_EQ(refused.error().code, ErrorCode::kOutOfMemory);
  // The first one has waited for the reader a while; not each of many does.
  const auto patience = Clock::now() + std::chrono::seconds(20);
  for (int i = 0; i < 1000; ++i) ASSERT_FALSE(index.Insert(n, wide(n)));
  EXPECT_LT(Clock::now(), patience);
  ASSERT_TRUE(sequencer.RunToEnd("search"));
  for (ExternalId id = 0; id < 20; ++id) ExpectGood(index.Insert(n + id, wide(n + id)));
  for (ExternalId id = 20; id < 60; ++id) {
    ExpectGood(index.Delete(id));
    ExpectGood(index.Insert(n + id, wide(n + id)));
  }
  ExpectGood(index.CheckStructure());
}

// Searches come and go, and one of them is always there: what deletes have left is free as soon as
// those that began before have ended.
TEST(AtTheMemoryLimit, AnUpsertWaitsForSearchesThatAreAboutToLeave) {
  Index index = *Index::Create(
      {.dim = kDim, .max_degree = 8, .build_list_size = 20, .runtime = {.memory_limit = 4 << 20}});
  ExternalId n = 0;
  while (index.Insert(n, VectorOf(n, 0))) ++n;
  for (ExternalId id = 0; id < 50; ++id) ExpectGood(index.Delete(id));
  ExpectGood(index.Consolidate());
  std::atomic<bool> stop{false};
  std::vector<std::thread> searchers;
  for (int t = 0; t < 2; ++t) {
    searchers.emplace_back([&] {
      while (!stop.load()) EXPECT_TRUE(index.Search(VectorOf(n / 2, 0)));
    });
  }
  for (uint64_t i = 0; i < 1000; ++i) {
    const ExternalId id = 100 + i % (n - 100);
    const Status upserted = index.Upsert(id, VectorOf(id, 1 + i));
    EXPECT_TRUE(upserted) << i << ": " << upserted.error().message;
  }
  stop.store(true);
  for (std::thread& searcher : searchers) searcher.join();
  ExpectGood(index.CheckStructure());
}

}  // namespace
}  // namespace shoal::testing
