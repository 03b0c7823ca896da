// The stores that come with shoal, as the conformance kit takes them. Files are in `folder`.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "shoal/feature_stores.h"
#include "shoal/testing/feature_store_conformance.h"
#include "temp_folder.h"

namespace shoal::testing {

struct NamedStore {
  std::string name;
  FeatureStoreUnderTest (*make)(const TempFolder& folder);
};

// A store in a file. open: path -> Result<std::unique_ptr<FeatureStore>>.
template <class Open>
FeatureStoreUnderTest StoreInFile(const TempFolder& folder, size_t row_bytes, Open open) {
  auto files = std::make_shared<std::atomic<int>>(0);
  const auto path = [&folder, files] { return folder / ("rows-" + std::to_string(*files)); };
  return {.row_bytes = row_bytes,
          .make = [=] { return ++*files, open(path(), row_bytes); },
          .reopen =
              [=](std::unique_ptr<FeatureStore> store) {
                store.reset();
                return open(path(), row_bytes);
              }};
}

template <DiskFeatureOptions::Engine engine, DiskFeatureOptions::Access access, size_t cache_bytes,
          size_t row_bytes>
FeatureStoreUnderTest Disk(const TempFolder& folder) {
  return StoreInFile(folder, row_bytes, [](const std::filesystem::path& path, size_t bytes) {
    return OpenDiskFeatures(
        path, bytes,
        {.engine = engine, .access = access, .cache_bytes = cache_bytes, .queue_depth = 8});
  });
}

inline FeatureStoreUnderTest Ram(const TempFolder&) {
  return {.row_bytes = 100, .make = [] { return MakeRamFeatures(100); }};
}

inline FeatureStoreUnderTest Mmap(const TempFolder& folder) {
  return StoreInFile(folder, 100, [](const std::filesystem::path& path, size_t bytes) {
    return OpenMmapFeatures(path, bytes);
  });
}

inline std::vector<NamedStore> AllStores() {
  using Options = DiskFeatureOptions;
  constexpr auto kBest = Options::Engine::kBest, kPread = Options::Engine::kPread;
  constexpr auto kBuffered = Options::Access::kBuffered, kDirect = Options::Access::kDirect;
  // Two sets of pages: they are given way all the time.
  constexpr size_t kSmallCache = 65536;
  return {{"Ram", &Ram},
          {"Mmap", &Mmap},
          {"DiskBest", &Disk<kBest, kBuffered, 0, 100>},
          {"DiskBestCached", &Disk<kBest, kBuffered, kSmallCache, 100>},
          {"DiskBestDirectCached", &Disk<kBest, kDirect, kSmallCache, 1000>},
          {"DiskPread", &Disk<kPread, kBuffered, 0, 6000>},
          {"DiskPreadCached", &Disk<kPread, kBuffered, kSmallCache, 100>},
          {"DiskPreadDirect", &Disk<kPread, kDirect, 0, 100>}};
}

}  // namespace shoal::testing
