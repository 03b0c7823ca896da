#include "features/batch_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "base/file.h"
#include "base/number.h"
#include "features/page_cache.h"

namespace shoal {
namespace {

class PreadReader final : public BatchReader {
 public:
  explicit PreadReader(const BatchSource& source) : source_(source) {}

  Status Read(std::span<FileRead> reads) override {
    // The kernel begins to read all of them, so that no pread waits for more than its own.
    if (reads.size() > 1 && source_.options.access == DiskFeatureOptions::Access::kBuffered) {
      for (const FileRead& read : reads)
        (void)posix_fadvise(source_.fd, static_cast<off_t>(read.offset),
                            static_cast<off_t>(read.bytes), POSIX_FADV_WILLNEED);
    }
    for (FileRead& read : reads) {
      if (Status done = ReadOne(read); !done) return done;
    }
    source_.counters->NoteQueueDepth(reads.empty() ? 0 : 1);
    return {};
  }

 private:
  Status ReadOne(FileRead& read) const {
    for (;;) {
      const ssize_t n = pread(source_.fd, read.out, read.bytes, static_cast<off_t>(read.offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return IoError(source_.path, "read at offset " + Written(read.offset), errno);
      if (IsComplete(read, static_cast<size_t>(n), source_)) return {};
    }
  }

  const BatchSource& source_;
};

}  // namespace

bool IsComplete(FileRead& read, size_t n, const BatchSource& source) {
  const bool direct = source.options.access == DiskFeatureOptions::Access::kDirect;
  read.offset += n;
  read.out += n;
  read.bytes -= n;
  // A direct read ends short of a page at the end of the file only.
  const bool at_end = n == 0 || (direct && n % kPageBytes != 0);
  if (at_end) std::memset(read.out, 0, read.bytes);
  return at_end || read.bytes == 0;
}

std::unique_ptr<BatchReader> NewPreadReader(const BatchSource& source) {
  return std::unique_ptr<BatchReader>(new (std::nothrow) PreadReader(source));
}

std::unique_ptr<BatchReader> NewBatchReader(const BatchSource& source) {
  std::unique_ptr<BatchReader> reader;
  if (source.options.engine == DiskFeatureOptions::Engine::kBest) reader = NewUringReader(source);
  return reader != nullptr ? std::move(reader) : NewPreadReader(source);
}

}  // namespace shoal
