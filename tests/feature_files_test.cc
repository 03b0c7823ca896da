// Feature stores in files: what is there after reopening, what is refused, what is counted.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <csignal>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "shoal/dataset.h"
#include "shoal/feature_stores.h"
#include "shoal/testing/failing_feature_store.h"
#include "shoal/testing/feature_store_checks.h"
#include "temp_folder.h"

namespace shoal::testing {
namespace {

using conformance::Row;
using ::testing::HasSubstr;

constexpr size_t kRowBytes = 100;
constexpr size_t kStride = 128;  // The row, zeros, and 16 bytes.
constexpr size_t kHeader = 4096;

std::unique_ptr<FeatureStore> Opened(Result<std::unique_ptr<FeatureStore>> store) {
  EXPECT_TRUE(store) << store.error().message;
  return store ? *std::move(store) : nullptr;
}

void Put(FeatureStore& store, FeatureKey key) {
  const Status put = store.Put(key, Row(store.row_bytes(), key, 0).data());
  ASSERT_TRUE(put) << put.error().message;
}

// The row of the key, or the error of the call. A row that is not there is "".
Result<std::string> Fetch(FeatureStore& store, FeatureKey key) {
  auto reader = store.NewReader(1);
  if (!reader) return tl::unexpected(reader.error());
  std::array<const std::byte*, 1> rows = {};
  const Result<size_t> found = (*reader)->Fetch(std::array{key}, rows);
  if (!found) return tl::unexpected(found.error());
  if (rows[0] == nullptr) return std::string();
  return std::string(reinterpret_cast<const char*>(rows[0]), store.row_bytes());
}

std::string RowOf(FeatureKey key, size_t bytes = kRowBytes) {
  return {reinterpret_cast<const char*>(Row(bytes, key, 0).data()), bytes};
}

class FeatureFiles : public ::testing::Test {
 protected:
  // A file with rows of slots 0 to 9; the id is 100 + the slot.
  void SetUp() override {
    const auto store = Opened(OpenDiskFeatures(path_, kRowBytes));
    for (uint32_t slot = 0; slot < 10; ++slot) Put(*store, {slot, 100 + slot});
  }
  // Changes one byte of the file.
  void Damage(size_t offset) const {
    std::string bytes = ReadBytes(path_);
    ASSERT_GT(bytes.size(), offset);
    bytes[offset] = static_cast<char>(bytes[offset] ^ 1);
    WriteBytes(path_, bytes);
  }
  std::string ErrorOfOpening(size_t row_bytes = kRowBytes) const {
    const auto disk = OpenDiskFeatures(path_, row_bytes);
    const auto mmap = OpenMmapFeatures(path_, row_bytes);
    EXPECT_FALSE(disk);
    EXPECT_FALSE(mmap);
    if (disk || mmap) return "";
    EXPECT_EQ(disk.error().message, mmap.error().message);
    return std::string(ErrorCodeName(disk.error().code)) + " " + disk.error().message;
  }

  const TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "rows";
};

TEST_F(FeatureFiles, WhatOneStoreWroteTheOtherReads) {
  {
    const auto mapped = Opened(OpenMmapFeatures(path_, kRowBytes));
    EXPECT_EQ(*Fetch(*mapped, {7, 107}), RowOf({7, 107}));
    ASSERT_TRUE(mapped->Grow(1000));
    Put(*mapped, {999, 5});
  }
  const auto disk = Opened(OpenDiskFeatures(path_, kRowBytes));
  EXPECT_EQ(*Fetch(*disk, {999, 5}), RowOf({999, 5}));
  EXPECT_EQ(*Fetch(*disk, {0, 100}), RowOf({0, 100}));
  EXPECT_EQ(*Fetch(*disk, {998, 4}), "");
  EXPECT_EQ(*Fetch(*disk, {100000, 4}), "");  // Behind the end of the file.
}

TEST_F(FeatureFiles, ADamagedRowIsAnErrorThatNamesFileAndSlotAndTheOthersAreRead) {
  Damage(kHeader + 3 * kStride + 50);
  const auto disk = Opened(OpenDiskFeatures(path_, kRowBytes));
  const auto damaged = Fetch(*disk, {3, 103});
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(damaged.error().message, HasSubstr(path_.string() + ": row of slot 3, checksum"));
  EXPECT_EQ(*Fetch(*disk, {4, 104}), RowOf({4, 104}));
}

TEST_F(FeatureFiles, ADamagedIdIsNotTakenForALostRow) {
  Damage(kHeader + 4 * kStride - 16);
  const auto mapped = Opened(OpenMmapFeatures(path_, kRowBytes));
  const auto damaged = Fetch(*mapped, {3, 103});
  ASSERT_FALSE(damaged);
  EXPECT_THAT(damaged.error().message, HasSubstr("row of slot 3, checksum"));
}

TEST_F(FeatureFiles, AFileThatIsNoFileOfRowsIsRefused) {
  EXPECT_THAT(ErrorOfOpening(104), HasSubstr("Corrupt " + path_.string() + ": row_bytes"));
  Damage(13);
  EXPECT_THAT(ErrorOfOpening(),
              HasSubstr("Corrupt " + path_.string() + ": checksum of the header"));
  Damage(8);
  EXPECT_THAT(ErrorOfOpening(), HasSubstr("Unsupported " + path_.string() + ": version"));
  Damage(0);
  EXPECT_THAT(ErrorOfOpening(), HasSubstr("Corrupt " + path_.string() + ": magic"));
  EXPECT_THAT(ErrorOfOpening(0), HasSubstr("InvalidArgument row_bytes: expected 1 to 131072"));
}

TEST_F(FeatureFiles, ASecondStoreOfTheFileIsRefusedWhileTheFirstIsOpen) {
  {
    const auto first = Opened(OpenMmapFeatures(path_, kRowBytes));
    EXPECT_THAT(ErrorOfOpening(), HasSubstr("Io " + path_.string() + ": lock"));
  }
  Opened(OpenDiskFeatures(path_, kRowBytes));
}

TEST_F(FeatureFiles, ADiskThatIsFullIsAnErrorOfGrowOrPutAndLeavesTheRowsThatAreThere) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  for (const auto& store : {OpenMmapFeatures(path_, kRowBytes)}) {
    const Status grown = (*store)->Grow(100000);
    ASSERT_FALSE(grown);
    EXPECT_EQ(grown.error().code, ErrorCode::kIo);
    EXPECT_THAT(grown.error().message, HasSubstr(path_.string() + ": cannot grow"));
    EXPECT_EQ(*Fetch(**store, {9, 109}), RowOf({9, 109}));
  }
  const auto disk = Opened(OpenDiskFeatures(path_, kRowBytes));
  const FeatureKey far = {100000, 1};
  const Status put = disk->Put(far, Row(kRowBytes, far, 0).data());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_FALSE(put);
  EXPECT_THAT(put.error().message, HasSubstr(path_.string() + ": cannot write"));
  EXPECT_EQ(*Fetch(*disk, {9, 109}), RowOf({9, 109}));
}

TEST_F(FeatureFiles, ABatchIsReadAtTheSameTimeAndPagesOnceEach) {
  for (const auto access :
       {DiskFeatureOptions::Access::kBuffered, DiskFeatureOptions::Access::kDirect}) {
    const auto store = Opened(OpenDiskFeatures(path_, kRowBytes, {.access = access}));
    constexpr uint32_t kApart = 320;  // 10 pages of 32 records.
    std::vector<FeatureKey> keys;
    for (uint32_t i = 0; i < 20; ++i) keys.push_back({i * kApart, 100});
    keys.push_back({1, 101});  // In the page of the first.
    for (const FeatureKey key : keys) Put(*store, key);
    auto reader = store->NewReader(keys.size());
    ASSERT_TRUE(reader);
    std::vector<const std::byte*> rows(keys.size());
    const Result<size_t> found = (*reader)->Fetch(keys, rows);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(*found, keys.size());
    const FeatureStats stats = store->Stats();
    EXPECT_EQ(stats.reads, 20u);
    EXPECT_EQ(stats.bytes_read, 20u * 4096);
    EXPECT_EQ(stats.rows, 21u);
    EXPECT_EQ(stats.hits, 0u);
    EXPECT_EQ(stats.readers, 1u);
    EXPECT_EQ(stats.memory, 20u * 4096);
    // 1 where the kernel or the build has no io_uring.
    EXPECT_TRUE(stats.max_queue_depth == 20 || stats.max_queue_depth == 1) << stats.max_queue_depth;
  }
}

TEST_F(FeatureFiles, PagesThatTheCacheHasAreNotReadAgainAndItsBytesAreBounded) {
  constexpr size_t kCache = 8 * 4096;
  const auto store = Opened(OpenDiskFeatures(path_, kRowBytes, {.cache_bytes = kCache}));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*Fetch(*store, {3, 103}), RowOf({3, 103}));
  EXPECT_EQ(store->Stats().reads, 1u);
  EXPECT_EQ(store->Stats().hits, 2u);
  for (uint32_t page = 2; page < 40; ++page) {
    Put(*store, {page * 32, page});
    EXPECT_EQ(*Fetch(*store, {page * 32, page}), RowOf({page * 32, page}));
  }
  EXPECT_EQ(store->Stats().memory, kCache);  // The readers are gone.
  EXPECT_EQ(*Fetch(*store, {3, 103}), RowOf({3, 103}));
}

TEST_F(FeatureFiles, QueueDepthOutsideItsRangeIsRefused) {
  const auto store = OpenDiskFeatures(path_, kRowBytes, {.queue_depth = 0});
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message, HasSubstr("queue_depth: expected 1 to 4096, found 0"));
}

class DatasetFeatures : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    for (size_t i = 0; i < elements_.size(); ++i) elements_[i] = static_cast<float>(i);
    const Status written =
        path_.extension() == ".npy" ? WriteNpy(path_, rows_) : WriteBin(path_, rows_);
    ASSERT_TRUE(written) << written.error().message;
  }
  std::string Row(size_t i) const {
    return {static_cast<const char*>(rows_[i].data()), rows_.row_bytes()};
  }
  const TempFolder folder_;
  const std::filesystem::path path_ = folder_ / GetParam();
  std::array<float, 15> elements_ = {};
  const MatrixView rows_{std::span<const float>(elements_), 5};
};

TEST_P(DatasetFeatures, RowsAreFoundByIdWhateverTheSlot) {
  const auto by_row = Opened(OpenDatasetFeatures(path_, ScalarType::kFloat32));
  ASSERT_EQ(by_row->row_bytes(), 20u);
  EXPECT_EQ(*Fetch(*by_row, {17, 2}), Row(2));
  EXPECT_EQ(*Fetch(*by_row, {0, 3}), "");
  const auto by_id = Opened(OpenDatasetFeatures(path_, ScalarType::kFloat32, {70, 50, 60}));
  EXPECT_EQ(*Fetch(*by_id, {1, 50}), Row(1));
  EXPECT_EQ(*Fetch(*by_id, {2, 50}), Row(1));
  EXPECT_EQ(*Fetch(*by_id, {0, 70}), Row(0));
  EXPECT_EQ(*Fetch(*by_id, {0, 1}), "");
  EXPECT_EQ(by_id->Stats().rows, 3u);
  EXPECT_EQ(by_id->Stats().missing, 1u);
}

TEST_P(DatasetFeatures, PutTakesTheRowOfTheFileAndRefusesEveryOther) {
  const auto store = Opened(OpenDatasetFeatures(path_, ScalarType::kFloat32));
  const auto put = [&](ExternalId id, size_t row) {
    return store->Put({0, id}, static_cast<const std::byte*>(rows_[row].data()));
  };
  EXPECT_TRUE(put(1, 1));
  for (const Status& refused : {put(1, 2), put(9, 1)}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(refused.error().message, HasSubstr(path_.string() + ": row of id"));
  }
}

TEST_P(DatasetFeatures, IdsAndTypesThatDoNotGoWithTheFileAreRefused) {
  const auto error = [&](ScalarType type, const std::vector<ExternalId>& ids) {
    const auto store = OpenDatasetFeatures(path_, type, ids);
    return store ? "" : store.error().message;
  };
  EXPECT_THAT(error(ScalarType::kFloat32, {1, 2}), HasSubstr(": ids: expected 3, found 2"));
  EXPECT_THAT(error(ScalarType::kFloat32, {1, 2, 1}), HasSubstr("found 1 twice"));
  EXPECT_THAT(error(ScalarType::kUint8, {}), HasSubstr(path_.string()));
}

INSTANTIATE_TEST_SUITE_P(Files, DatasetFeatures, ::testing::Values("rows.bin", "rows.npy"),
                         [](const auto& test) { return std::string(test.param).substr(5); });

TEST(FailingFeatureStore, TheCallsThatAreToldToFailDoAndNoOther) {
  auto failures = std::make_shared<FeatureFailures>();
  FailingFeatureStore store(Opened(MakeRamFeatures(kRowBytes)), failures);
  ASSERT_TRUE(store.Grow(4));
  Put(store, {1, 10});
  failures->succeed_first[FeatureFailures::kFetch] = 1;
  EXPECT_EQ(*Fetch(store, {1, 10}), RowOf({1, 10}));
  const auto failed = Fetch(store, {1, 10});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "injected: Fetch");
  EXPECT_EQ(*Fetch(store, {1, 10}), RowOf({1, 10}));
  EXPECT_EQ(failures->failed, 1u);
  failures->stays_broken = true;
  failures->succeed_first[FeatureFailures::kPut] = 0;
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(store.Put({1, 10}, Row(kRowBytes, {1, 10}, 0).data()));
}

}  // namespace
}  // namespace shoal::testing
