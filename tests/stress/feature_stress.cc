// Stress of the disk store's page cache: the kit's readers and writers, on rows that certify
// themselves, in a cache that holds a part of the file. Round by round, each with a new file.
// --threads: is not used; the kit has threads of its own.
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "shoal/feature_stores.h"
#include "shoal/testing/feature_store_conformance.h"
#include "stress/stress.h"

namespace shoal::testing {
namespace {

class FeatureStress {
 public:
  explicit FeatureStress(const StressOptions& options) : stress_("feature_stress", options) {
    std::string pattern = (std::filesystem::temp_directory_path() / "shoal-stress-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) folder_ = pattern;
  }
  ~FeatureStress() {
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }

  int Run() {
    stress_.Spawn([this](Random& random) {
      while (stress_.Running()) Round(random);
    });
    stress_.Join();
    return stress_.Finish({{"rounds", rounds_}, {"hits", hits_}, {"rows", rows_}});
  }

 private:
  // Counts what its store has done when it dies.
  class Counting final : public FeatureStore {
   public:
    Counting(std::unique_ptr<FeatureStore> store, FeatureStress& to)
        : store_(std::move(store)), to_(to) {}
    ~Counting() override {
      to_.hits_ += store_->Stats().hits;
      to_.rows_ += store_->Stats().rows;
    }
    size_t row_bytes() const override { return store_->row_bytes(); }
    Status Put(FeatureKey key, const std::byte* row) override { return store_->Put(key, row); }
    Result<std::unique_ptr<FeatureReader>> NewReader(size_t max_rows) override {
      return store_->NewReader(max_rows);
    }

   private:
    std::unique_ptr<FeatureStore> store_;
    FeatureStress& to_;
  };

  void Round(Random& random) {
    constexpr size_t kRowBytes = 240;
    const size_t cache_bytes = (1 + random.Below(3)) * 8 * 4096;
    FeatureStoreUnderTest test;
    test.row_bytes = kRowBytes;
    test.make = [&]() -> Result<std::unique_ptr<FeatureStore>> {
      auto store = OpenDiskFeatures(folder_ / std::to_string(rounds_), kRowBytes,
                                    {.cache_bytes = cache_bytes});
      if (!store) return store;
      return std::make_unique<Counting>(*std::move(store), *this);
    };
    const Status status = conformance::ReadersBesideWritersGetWholeRowsOfTheLatestPut(test);
    if (!status) stress_.Violation(status.error().message);
    ++rounds_;
  }

  Stress stress_;
  std::filesystem::path folder_;
  std::atomic<uint64_t> rounds_{0}, hits_{0}, rows_{0};
};

}  // namespace
}  // namespace shoal::testing

int main(int argc, char** argv) {
  shoal::testing::StressOptions options;
  if (!shoal::testing::ParseStressOptions(argc, argv, options)) return 2;
  return shoal::testing::FeatureStress(options).Run();
}
