// An observer is told of every change of an id's slot, in the order in which they take effect.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "index_impl.h"
#include "shoal/index.h"
#include "test_data.h"

namespace shoal {
namespace {

// What the index must hold by what it was told.
class Model final : public ChangeObserver {
 public:
  void OnInsert(uint64_t sequence, ExternalId id, SlotId slot) noexcept override {
    Note(sequence, id, kNoSlot, slot);
  }
  void OnReplace(uint64_t sequence, ExternalId id, SlotId from, SlotId to) noexcept override {
    Note(sequence, id, from, to);
    ++replaced_;
  }
  void OnDelete(uint64_t sequence, ExternalId id, SlotId slot) noexcept override {
    Note(sequence, id, slot, kNoSlot);
  }
  void OnMove(uint64_t sequence, ExternalId id, SlotId from, SlotId to) noexcept override {
    Note(sequence, id, from, to);
    ++moved_;
  }

  void ExpectEqual(const Index& index) {
    const std::lock_guard lock(mutex_);
    std::vector<ExternalId> there;
    for (const auto& [id, state] : states_) {
      if (state.slot == kNoSlot) continue;
      there.push_back(id);
      EXPECT_EQ(IndexImpl::Of(index).LiveSlotOf(id), state.slot) << "id " << id;
    }
    std::vector<ExternalId> ids = *index.Ids();
    std::sort(ids.begin(), ids.end());
    EXPECT_EQ(there, ids);
    std::sort(sequences_.begin(), sequences_.end());
    EXPECT_EQ(sequences_, test::Iota(sequences_.size(), 1)) << "each number once";
    EXPECT_EQ(violation_, "");
  }
  size_t changes() const { return sequences_.size(); }
  size_t replaced() const { return replaced_; }
  size_t moved() const { return moved_; }

 private:
  struct State {
    SlotId slot = kNoSlot;
    uint64_t sequence = 0;
  };

  void Note(uint64_t sequence, ExternalId id, SlotId from, SlotId to) {
    const std::lock_guard lock(mutex_);
    State& state = states_[id];
    if (state.slot != from)
      violation_ = "id " + std::to_string(id) + " was in slot " + std::to_string(state.slot) +
                   ", not " + std::to_string(from);
    if (state.sequence >= sequence) violation_ = "id " + std::to_string(id) + ": out of order";
    state = {to, sequence};
    sequences_.push_back(sequence);
  }

  std::mutex mutex_;
  std::map<ExternalId, State> states_;
  std::vector<uint64_t> sequences_;
  std::string violation_;
  std::atomic<size_t> replaced_{0}, moved_{0};
};

constexpr size_t kDim = 8;

TEST(Observer, IsToldOfEachKindOfChange) {
  Model model;
  const test::Rows rows = test::Generator(ScalarType::kFloat32, {.dim = kDim}, 5).Many(100);
  Index index = *IndexImpl::Create({.dim = kDim}, &model);
  ASSERT_EQ(index.InsertMany(test::Iota(50), rows.view().Slice(0, 50))->done, 50u);
  EXPECT_EQ(model.changes(), 50u);
  EXPECT_FALSE(index.Insert(7, rows[60]));
  EXPECT_FALSE(index.Delete(70));
  { const auto dropped = IndexImpl::Of(index).Prepare(80, rows[80]); }
  EXPECT_EQ(model.changes(), 50u) << "nothing has changed";
  ASSERT_TRUE(index.Upsert(7, rows[60]));
  EXPECT_EQ(model.replaced(), 1u);
  ASSERT_TRUE(index.Upsert(60, rows[61]));
  EXPECT_EQ(model.replaced(), 1u) << "an insert";
  for (ExternalId id = 0; id < 30; ++id) ASSERT_TRUE(index.Delete(id));
  model.ExpectEqual(index);
  ASSERT_TRUE(index.Compact());
  EXPECT_GT(model.moved(), 0u);
  model.ExpectEqual(index);
  ASSERT_TRUE(index.Clear());
  model.ExpectEqual(index);
  EXPECT_EQ(model.changes(), 50u + 2 + 30 + model.moved() + 21);
}

class ObserverConcurrency : public testing::TestWithParam<RepairPolicy> {};

TEST_P(ObserverConcurrency, AModelKeptByItIsTheIndex) {
  constexpr ExternalId kIds = 300;
  constexpr size_t kWriters = 4, kSteps = 10000;
  Model model;
  const test::Rows rows = test::Generator(ScalarType::kFloat32, {.dim = kDim}, 6).Many(1000);
  Index index = *IndexImpl::Create(
      {.dim = kDim, .max_degree = 8, .build_list_size = 16, .runtime = {.repair = GetParam()}},
      &model);
  IndexImpl& impl = IndexImpl::Of(index);
  const auto write = [&](uint32_t seed) {
    std::mt19937 random(seed);
    for (size_t step = 0; step < kSteps; ++step) {
      const ExternalId id = random() % kIds;
      const VectorView row = rows[random() % rows.size()];
      switch (random() % 8) {
        case 0:
        case 1: (void)index.Insert(id, row); break;
        case 2: (void)index.Upsert(id, row); break;
        case 3: {
          Result<PreparedInsert> prepared = impl.Prepare(id, row);
          std::this_thread::yield();
          if (prepared && random() % 2 == 0) (void)impl.Commit(std::move(*prepared));
          break;
        }
        case 4: {
          Result<PreparedInsert> prepared = impl.PrepareUpsert(id, row);
          std::this_thread::yield();
          if (prepared && random() % 2 == 0) (void)impl.Commit(std::move(*prepared));
          break;
        }
        default: (void)index.Delete(id); break;
      }
    }
  };
  std::atomic<bool> done{false};
  std::thread compacting([&] {
    while (!done) EXPECT_TRUE(index.Compact({.threads = 2}));
  });
  std::vector<std::thread> writers;
  for (uint32_t i = 0; i < kWriters; ++i) writers.emplace_back(write, i + 1);
  for (std::thread& writer : writers) writer.join();
  done = true;
  compacting.join();
  ASSERT_TRUE(index.Consolidate());
  model.ExpectEqual(index);
  const Status whole = index.CheckStructure();
  EXPECT_TRUE(whole) << whole.error().message;
  EXPECT_GT(model.replaced(), 0u);
  EXPECT_GT(model.moved(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Repairs, ObserverConcurrency,
                         testing::Values(RepairPolicy::kImmediate, RepairPolicy::kBackground,
                                         RepairPolicy::kManual));

}  // namespace
}  // namespace shoal
