// A feature store that fails on purpose: for tests of what an index, or a program, makes of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "shoal/feature_store.h"

namespace shoal::testing {

// Which calls of a FailingFeatureStore fail. Shared by the test and the store. Any thread.
struct FeatureFailures {
  enum Call : uint8_t { kGrow, kPut, kSync, kNewReader, kFetch, kCalls };
  // Of each kind of call, how many succeed before one fails. Negative: none fails.
  std::atomic<int64_t> succeed_first[kCalls] = {-1, -1, -1, -1, -1};
  // Whether all calls after the first that fails do so, too.
  std::atomic<bool> stays_broken{false};
  std::atomic<uint64_t> failed{0};

  // An error if it is this call's turn.
  Status Turn(Call call) {
    static constexpr const char* kNames[] = {"Grow", "Put", "Sync", "NewReader", "Fetch"};
    std::atomic<int64_t>& left = succeed_first[call];
    if (left.load() < 0) return {};
    const int64_t before = stays_broken && left.load() == 0 ? 0 : left.fetch_sub(1);
    if (before != 0) return {};
    failed.fetch_add(1);
    return MakeError(ErrorCode::kIo, std::string("injected: ") + kNames[call]);
  }
};

// Forwards everything to `store`, but for the calls that fail. It has no addresses, so that all
// rows are fetched.
class FailingFeatureStore final : public FeatureStore {
 public:
  FailingFeatureStore(std::unique_ptr<FeatureStore> store,
                      std::shared_ptr<FeatureFailures> failures)
      : store_(std::move(store)), failures_(std::move(failures)) {}

  size_t row_bytes() const override { return store_->row_bytes(); }
  Status Grow(uint32_t slots) override {
    if (Status turn = failures_->Turn(FeatureFailures::kGrow); !turn) return turn;
    return store_->Grow(slots);
  }
  Status Put(FeatureKey key, const std::byte* row) override {
    if (Status turn = failures_->Turn(FeatureFailures::kPut); !turn) return turn;
    return store_->Put(key, row);
  }
  void Free(FeatureKey key) override { store_->Free(key); }
  Status Sync() override {
    if (Status turn = failures_->Turn(FeatureFailures::kSync); !turn) return turn;
    return store_->Sync();
  }
  Result<std::unique_ptr<FeatureReader>> NewReader(size_t max_rows) override {
    if (Status turn = failures_->Turn(FeatureFailures::kNewReader); !turn)
      return tl::unexpected(turn.error());
    Result<std::unique_ptr<FeatureReader>> reader = store_->NewReader(max_rows);
    if (!reader) return reader;
    return std::make_unique<Reader>(*std::move(reader), *failures_);
  }
  FeatureStats Stats() const override { return store_->Stats(); }

 private:
  class Reader final : public FeatureReader {
   public:
    Reader(std::unique_ptr<FeatureReader> reader, FeatureFailures& failures)
        : reader_(std::move(reader)), failures_(failures) {}
    Result<size_t> Fetch(std::span<const FeatureKey> keys,
                         std::span<const std::byte*> rows) override {
      if (Status turn = failures_.Turn(FeatureFailures::kFetch); !turn)
        return tl::unexpected(turn.error());
      return reader_->Fetch(keys, rows);
    }
    void Rest() override { reader_->Rest(); }

   private:
    std::unique_ptr<FeatureReader> reader_;
    FeatureFailures& failures_;
  };

  std::unique_ptr<FeatureStore> store_;
  std::shared_ptr<FeatureFailures> failures_;
};

}  // namespace shoal::testing
