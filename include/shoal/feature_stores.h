// The feature stores that come with shoal. docs/feature_stores.md compares them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "shoal/export.h"
#include "shoal/feature_store.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal {

// Rows in memory, at fixed places. Grow: OutOfMemory.
SHOAL_API Result<std::unique_ptr<FeatureStore>> MakeRamFeatures(size_t row_bytes);

// Rows in a file that grows, mapped into memory at fixed places: the system's page cache holds what
// is used, and other processes share it. Where it does not hold a row, a fetch waits for one page
// after another; a disk store reads all at the same time.
//
// Makes the file if there is none. A file that OpenDiskFeatures made is as good, and the other way
// round. Each row has its key and a checksum, which Fetch compares. (docs/file_formats.md)
// The file must not be cut or replaced in place while it is open, and its disk must be sound: the
// system ends a process that reads a page which it cannot get (SIGBUS).
// InvalidArgument: row_bytes is 0 or above 128 KB. Corrupt: no such file, cut off, damaged, or of
// another row_bytes. Unsupported: another version. Io: also, that another store has it open. Grow:
// Io, if the disk is full.
SHOAL_API Result<std::unique_ptr<FeatureStore>> OpenMmapFeatures(const std::filesystem::path& path,
                                                                 size_t row_bytes);

struct DiskFeatureOptions {
  // How rows are read.
  enum class Engine : uint8_t {
    kBest,   // io_uring where the library has it and the kernel grants it, else kPread.
    kPread,  // One read after another; the kernel is told all of them first.
  };
  Engine engine = Engine::kBest;
  // Whether reads go past the system's page cache (O_DIRECT): memory holds only what cache_bytes
  // says. Writes do not. Where the file system refuses, reads are buffered.
  enum class Access : uint8_t { kBuffered, kDirect };
  Access access = Access::kBuffered;
  // Most bytes of pages that the store keeps itself. 0: none.
  size_t cache_bytes = 0;
  // Most reads that one Fetch has under way at the same time, 1 to 4096.
  uint32_t queue_depth = 64;
};

// Rows in a file that is read by calls: a Fetch reads all its pages at the same time. Nothing stays
// in the process but the cache and a buffer for each reader. The file and the errors are those of
// OpenMmapFeatures, without SIGBUS: what the disk refuses is Io. InvalidArgument: queue_depth, too.
SHOAL_API Result<std::unique_ptr<FeatureStore>> OpenDiskFeatures(
    const std::filesystem::path& path, size_t row_bytes, const DiskFeatureOptions& options = {});

// Rows of a file that is there already, a .bin or a .npy (by its name), mapped and never written.
// Row i is that of ids[i]; without ids, that of id i. Put accepts the row that the file has for the
// id, and InvalidArgument is the answer to any other: so Insert takes the file's own vectors, in
// any order, and copies none. type: of the elements. It is compared with that of a .npy; for a
// .bin, with the size of the file.
// InvalidArgument: as many ids as rows are expected; an id that is there twice. Unsupported: a .npy
// of float64, or in column-major order. FileNotFound, Io, Corrupt: as ReadBin and ReadNpy.
// About SIGBUS see OpenMmapFeatures.
SHOAL_API Result<std::unique_ptr<FeatureStore>> OpenDatasetFeatures(
    const std::filesystem::path& path, ScalarType type, const std::vector<ExternalId>& ids = {});

}  // namespace shoal
