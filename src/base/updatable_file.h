// A file that is read and written in place, by one owner at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "base/file.h"
#include "shoal/result.h"

namespace shoal {

// Reads and writes share no position: any thread may do either at any time.
class UpdatableFile {
 public:
  // Opens the file, or makes an empty one, and locks it (flock) until the end of this object. Io:
  // it is locked, or no regular file, or the system refuses.
  static Result<UpdatableFile> Open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  int fd() const { return fd_.get(); }
  // In bytes, now.
  Result<uint64_t> Size() const;
  // Reads up to `bytes` bytes; what lies behind the end of the file becomes zero.
  Status ReadAt(uint64_t offset, void* out, size_t bytes) const;
  Status WriteAt(uint64_t offset, const void* data, size_t bytes);
  // Makes the file at least `bytes` long, with room on the disk for all of them where the file
  // system can promise that. New bytes are zero.
  Status Allocate(uint64_t bytes);
  // What was written is on the disk.
  Status Sync();

 private:
  std::filesystem::path path_;
  FileDescriptor fd_;
};

}  // namespace shoal
