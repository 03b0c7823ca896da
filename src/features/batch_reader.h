// Many places of one file, read at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "features/counters.h"
#include "shoal/feature_stores.h"
#include "shoal/result.h"

namespace shoal {

struct FileRead {
  uint64_t offset;
  std::byte* out;
  size_t bytes;
};

// One thread at a time.
class BatchReader {
 public:
  virtual ~BatchReader() = default;
  // Makes all reads, which it may change. What lies behind the end of the file becomes zero. No
  // read is under way when it returns.
  virtual Status Read(std::span<FileRead> reads) = 0;
};

// Of which file, and how. It outlives the reader.
struct BatchSource {
  std::filesystem::path path;
  int fd = -1;
  DiskFeatureOptions options;
  FeatureCounters* counters = nullptr;
};

// That of options.engine, or, where the kernel or the build has no io_uring, that of kPread. Null:
// no memory.
std::unique_ptr<BatchReader> NewBatchReader(const BatchSource& source);

// What NewBatchReader calls. Null: it is not to be had.
std::unique_ptr<BatchReader> NewPreadReader(const BatchSource& source);
std::unique_ptr<BatchReader> NewUringReader(const BatchSource& source);

// A read has given `n` bytes. True: it is complete, its rest is zero or nothing.
bool IsComplete(FileRead& read, size_t n, const BatchSource& source);

}  // namespace shoal
