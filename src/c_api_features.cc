// The C interface: indexes whose vectors are in a feature store (shoal/shoal.h).
#include <memory>
#include <utility>

#include "c_api.h"
#include "shoal/feature_stores.h"
#include "shoal/snapshot.h"

namespace shoal::c {
namespace {

using Store = std::unique_ptr<FeatureStore>;

Result<Store> Open(const shoal_features* features, const IndexOptions& index) {
  const Result<shoal_features> all = Read(features, "features");
  if (!all) return tl::unexpected(all.error());
  const size_t row_bytes = VectorView(nullptr, index.scalar_type, index.dim).bytes();
  if (all->kind == SHOAL_FEATURES_RAM) return MakeRamFeatures(row_bytes);
  if (all->path == nullptr) return Invalid("features: path: expected one, found NULL");
  using Disk = DiskFeatureOptions;
  switch (all->kind) {
    case SHOAL_FEATURES_MMAP: return OpenMmapFeatures(all->path, row_bytes);
    case SHOAL_FEATURES_DATASET: return OpenDatasetFeatures(all->path, index.scalar_type);
    case SHOAL_FEATURES_DISK:
      return OpenDiskFeatures(
          all->path, row_bytes,
          {.access = all->direct == 0 ? Disk::Access::kBuffered : Disk::Access::kDirect,
           .cache_bytes = all->cache_bytes,
           .queue_depth = OrDefault(all->queue_depth, Disk().queue_depth)});
    default: return Invalid("features: kind: no such number");
  }
}

}  // namespace
}  // namespace shoal::c

namespace c = shoal::c;
using shoal::BatchOptions;
using shoal::Status;

int32_t shoal_create_with_features(const shoal_index_options* options,
                                   const shoal_features* features, shoal_index** index,
                                   shoal_error* error) {
  *index = nullptr;
  return c::Guarded(error, [&]() -> Status {
    const auto checked = c::OptionsOf(options);
    if (!checked) return tl::unexpected(checked.error());
    auto store = c::Open(features, *checked);
    if (!store) return tl::unexpected(store.error());
    return c::Own(shoal::Index::CreateWithFeatures(*checked, *std::move(store)), index);
  });
}

int32_t shoal_save_without_vectors(const shoal_index* index, const char* path,
                                   const shoal_batch* batch, shoal_error* error) {
  return c::Long(batch, error, [&](const BatchOptions& options) -> Status {
    return c::OnOwn(*index, [&](const shoal::Index& own) -> Status {
      return own.SaveWithoutVectors(path, options);
    });
  });
}

int32_t shoal_load_with_features(const char* path, const shoal_features* features,
                                 const shoal_index_options* options, const shoal_batch* batch,
                                 shoal_index** index, shoal_error* error) {
  *index = nullptr;
  return c::Long(batch, error, [&](const BatchOptions& how) -> Status {
    const auto runtime = c::RuntimeOf(options);
    if (!runtime) return tl::unexpected(runtime.error());
    const auto info = shoal::InspectSnapshot(path);
    if (!info) return tl::unexpected(info.error());
    auto store = c::Open(features, info->options);
    if (!store) return tl::unexpected(store.error());
    return c::Own(shoal::Index::LoadWithFeatures(path, *std::move(store), {*runtime, how}), index);
  });
}

int32_t shoal_fit_to_memory(const shoal_index_options* options, uint64_t points,
                            uint64_t memory_budget, const char** code, uint64_t* bytes,
                            shoal_error* error) {
  return c::Guarded(error, [&]() -> Status {
    const auto checked = c::OptionsOf(options);
    if (!checked) return tl::unexpected(checked.error());
    const auto fitted = shoal::FitToMemory(*checked, points, memory_budget);
    if (!fitted) return tl::unexpected(fitted.error());
    *code = shoal::CodeName(fitted->options.code).data();
    *bytes = fitted->bytes;
    return {};
  });
}
