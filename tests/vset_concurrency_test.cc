// Vector sets: an owner that adds, updates and removes, threads that search, threads that link.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include "bindings/valkey/core/reclaimer.h"
#include "bindings/valkey/core/serialize.h"
#include "vset_data.h"

namespace shoal::vset {
namespace {

// Threads that call `work` again and again until they are stopped.
class Workers {
 public:
  Workers(size_t n, const std::function<void()>& work) {
    for (size_t i = 0; i < n; ++i)
      threads_.emplace_back([work](const std::stop_token& stop) {
        while (!stop.stop_requested()) work();
      });
  }

 private:
  std::vector<std::jthread> threads_;
};

constexpr uint32_t kDim = 16;

// Of element i at its version-th update: near to axis i, so that it is the nearest to NearAxis(i,
// 0) whatever the version.
std::vector<float> NearAxis(uint32_t i, uint32_t version) {
  auto x = ClusteredVector(kDim, version * 31 + i);
  for (float& element : x) element *= 0.01f;
  for (uint32_t bit = 0; bit < kDim; ++bit) x[bit] += (i + 1) >> bit % 8 & 1 ? 1.0f : -1.0f;
  return x;
}

TEST(VectorSetConcurrency, ElementsThatStayAreFoundAllTheTimeWithEitherVector) {
  constexpr uint32_t kStay = 200;
  WorkGate gate;
  auto set = NewSet({.dim = kDim}, &gate);
  for (uint32_t i = 0; i < kStay; ++i) AddTo(*set, std::to_string(i), NearAxis(i, 0));
  std::atomic<uint32_t> searches = 0;
  std::atomic<uint32_t> missed = 0;
  std::atomic<uint32_t> updated = 0;  // The element that is being updated again and again.
  {
    const Workers search(2, [&] {
      const uint32_t i = updated;
      ++searches;
      const auto hits = SearchIn(*set, NearAxis(i, 0), {.count = 5});
      const auto names = NamesOf(hits);
      if (std::ranges::find(names, std::to_string(i)) == names.end()) ++missed;
      if (std::set<std::string>(names.begin(), names.end()).size() != names.size()) ++missed;
    });
    const Workers link(2, [&] {
      EXPECT_TRUE(set->Link(10));
      if (set->NeedsMaintenance()) {
        EXPECT_TRUE(set->Maintain());
      }
      std::this_thread::yield();
    });
    for (uint32_t round = 1; round < 60 || searches < 1000; ++round) {
      for (uint32_t i = 0; i < kStay; ++i) {
        updated = i;
        for (uint32_t again = 0; again < 3 && i % 4 == round % 4; ++again)
          AddTo(*set, std::to_string(i), NearAxis(i, round + again));
        if (i % 8 == round % 8) {
          EXPECT_TRUE(*set->SetAttribute(std::to_string(i), "{}"));
        }
      }
      for (uint32_t i = 0; i < 100; ++i)  // These come and go.
        if (!set->Remove("x" + std::to_string(i)))
          AddTo(*set, "x" + std::to_string(i), ClusteredVector(kDim, i));
    }
  }
  EXPECT_EQ(missed, 0u);
  EXPECT_TRUE(set->Link(10000));
  EXPECT_EQ(set->Info().graph_points, set->size());
}

TEST(VectorSetConcurrency, ElementsAreFoundOnceWhileTheyGoFromTheTailToTheGraph) {
  constexpr uint32_t kAdded = 600;
  auto set = NewSet({.dim = kDim});
  for (uint32_t i = 0; i < kLinkFrom; ++i) AddTo(*set, std::to_string(i), ClusteredVector(kDim, i));
  std::atomic<uint32_t> added = kLinkFrom;
  std::atomic<uint32_t> wrong = 0;
  {
    const Workers search(2, [&] {
      const uint32_t i = added.load() - 1;
      const auto names = NamesOf(SearchIn(*set, ClusteredVector(kDim, i), {.count = 3}));
      if (std::ranges::count(names, std::to_string(i)) != 1) ++wrong;
    });
    const Workers link(2, [&] {
      EXPECT_TRUE(set->Link(1));
      std::this_thread::yield();
    });
    for (uint32_t i = kLinkFrom; i < kAdded; ++i) {
      AddTo(*set, std::to_string(i), ClusteredVector(kDim, i));
      added = i + 1;
      while (set->Unlinked() > 3) std::this_thread::yield();
    }
  }
  EXPECT_EQ(wrong, 0u);
}

TEST(VectorSetConcurrency, ElementsThatAreRemovedWhileTheyAreLinkedAreGone) {
  auto set = NewSet({.dim = kDim});
  for (uint32_t i = 0; i < kLinkFrom; ++i)
    AddTo(*set, "stay" + std::to_string(i), ClusteredVector(kDim, i));
  {
    const Workers link(3, [&] {
      EXPECT_TRUE(set->Link(100));
      if (set->NeedsMaintenance()) {
        EXPECT_TRUE(set->Maintain());
      }
      std::this_thread::yield();
    });
    for (uint32_t round = 0; round < 300; ++round) {
      const auto name = [](uint32_t i) { return "x" + std::to_string(i); };
      for (uint32_t i = 0; i < 8; ++i) AddTo(*set, name(i), ClusteredVector(kDim, round * 8 + i));
      std::this_thread::yield();
      for (uint32_t i = 0; i < 8; ++i) {
        if (round % 2 == 0) AddTo(*set, name(i), ClusteredVector(kDim, i));  // Another id.
        EXPECT_TRUE(set->Remove(name(i)));
      }
    }
  }
  EXPECT_TRUE(set->Link(10000));
  EXPECT_EQ(set->size(), kLinkFrom);
  EXPECT_EQ(set->Info().graph_points, kLinkFrom);
  EXPECT_TRUE(set->Maintain());
}

TEST(VectorSetConcurrency, ExactFilteredAndLinkingCallsGoOnBesideTheOwner) {
  auto set = NewSet({.dim = kDim, .quantization = Quantization::kBinary});
  for (uint32_t i = 0; i < 600; ++i)
    AddTo(*set, std::to_string(i), ClusteredVector(kDim, i), R"({"i":1})");
  const auto filter = FilterExpression::Parse(".i == 1");
  std::atomic<size_t> searches = 0;
  {
    const Workers search(2, [&] {
      const auto query = ClusteredVector(kDim, 7);
      SearchRequest request{.filter = searches % 3 == 0 ? nullptr : &*filter};
      if (searches % 2 == 0) request.scan = SearchRequest::Scan::kExact;
      if (searches % 5 == 0) request.filter_ef = 50;
      if (searches++ % 7 != 0) {
        EXPECT_EQ(SearchIn(*set, query, request).size(), 10u);
      } else {
        EXPECT_GT(set->Memory().total(), 10000u);
        EXPECT_GE(set->Info().size, 600u);
      }
    });
    const Workers link(1, [&] {
      EXPECT_TRUE(set->Link(10));
      EXPECT_TRUE(set->Maintain());
    });
    for (uint32_t i = 0; i < 3000 || searches < 100; ++i) {
      AddTo(*set, std::to_string(i % 900), ClusteredVector(kDim, i), R"({"i":1})");
      if (i % 900 >= 600) {
        EXPECT_TRUE(set->Remove(std::to_string(i % 900)));
      }
    }
  }
}

TEST(VectorSetConcurrency, TwoSetsWithEqualChangesHaveEqualDigestsWhateverIsLinkedWhen) {
  std::vector<std::string> digests[2];
  for (size_t threads = 0; threads < 2; ++threads) {
    auto set = NewSet({.dim = kDim});
    const Workers link(threads * 2, [&] { EXPECT_TRUE(set->Link(10)); });
    for (uint32_t i = 0; i < 1500; ++i) {
      AddTo(*set, std::to_string(i * 7919 % 700), ClusteredVector(kDim, i), "{}");
      if (i % 5 == 0) set->Remove(std::to_string(i % 700));
      if (i % 7 == 0) {
        EXPECT_TRUE(set->SetAttribute(std::to_string(i % 600), "x"));
      }
    }
    digests[threads] = DigestsOf(*set);
  }
  EXPECT_EQ(digests[0], digests[1]);
}

TEST(VectorSetConcurrency, AForkedChildWritesTheSetOfTheInstantThoughThreadsWork) {
  WorkGate gate;
  auto set = NewSet({.dim = kDim}, &gate);
  for (uint32_t i = 0; i < 1500; ++i) AddTo(*set, std::to_string(i), ClusteredVector(kDim, i));
  const Workers link(2, [&] {
    EXPECT_TRUE(set->Link(3));
    EXPECT_TRUE(set->Maintain());
  });
  const Workers search(
      1, [&] { SearchIn(*set, ClusteredVector(kDim, 7), {.scan = SearchRequest::Scan::kExact}); });
  for (uint32_t round = 0; round < 10; ++round) {
    for (uint32_t i = 0; i < 50; ++i)
      AddTo(*set, std::to_string(round * 100 + i), ClusteredVector(kDim, round * 1000 + i));
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    gate.Close();
    const pid_t child = fork();
    if (child == 0) {
      const Status saved = Save(*set, [&](std::span<const std::byte> bytes) {
        return write(pipe_ends[1], bytes.data(), bytes.size()) ==
               static_cast<ssize_t>(bytes.size());
      });
      _exit(saved ? 0 : 1);
    }
    gate.Open();
    ASSERT_GT(child, 0);
    close(pipe_ends[1]);
    const auto loaded = Load([&](std::span<std::byte> bytes) {
      const ssize_t got = read(pipe_ends[0], bytes.data(), bytes.size());
      return got < 0 ? size_t{0} : static_cast<size_t>(got);
    });
    close(pipe_ends[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(DigestsOf(**loaded), DigestsOf(*set));
  }
}

TEST(ReclaimerConcurrency, ABlockStaysWhileAReaderHasIt) {
  Reclaimer reclaimer;
  std::atomic<uint64_t*> current = new (::operator new(sizeof(uint64_t))) uint64_t(7);
  std::atomic<bool> is_bad = false;
  {
    const Workers readers(3, [&] {
      const auto guard = reclaimer.Pin();
      const uint64_t* const block = current.load(std::memory_order_acquire);
      for (int i = 0; i < 10; ++i)
        if (*static_cast<const volatile uint64_t*>(block) != 7) is_bad = true;
    });
    for (int i = 0; i < 20000; ++i) {
      uint64_t* const old = current.load();
      current.store(new (::operator new(sizeof(uint64_t))) uint64_t(7), std::memory_order_release);
      reclaimer.Retire(old, sizeof(uint64_t));
      reclaimer.Collect();
    }
  }
  EXPECT_FALSE(is_bad);
  reclaimer.Collect();
  reclaimer.Collect();
  EXPECT_EQ(reclaimer.bytes(), 0u);
  ::operator delete(current.load());
}

}  // namespace
}  // namespace shoal::vset
