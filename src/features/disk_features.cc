// Rows in a file that is read by calls. A fetch finds out which pages it needs, takes from the
// cache those that are there, reads all others at the same time, and hands out pointers into the
// reader's own buffer. Rows are written through the system's page cache, whatever the access.
#include <fcntl.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

#include "base/hooks.h"
#include "features/batch_reader.h"
#include "features/feature_file.h"
#include "features/page_cache.h"
#include "shoal/feature_stores.h"

namespace shoal {
namespace {

using Access = DiskFeatureOptions::Access;

// Pages at an address that O_DIRECT accepts.
class PageBuffer {
 public:
  // Room for so many pages; what was there before is gone. False: no memory.
  bool Reserve(size_t pages) {
    if (pages <= pages_) return true;
    data_.reset(static_cast<std::byte*>(std::aligned_alloc(kPageBytes, pages * kPageBytes)));
    pages_ = data_ == nullptr ? 0 : pages;
    return data_ != nullptr;
  }
  std::byte* Page(size_t i) const { return data_.get() + i * kPageBytes; }
  size_t bytes() const { return pages_ * kPageBytes; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t pages_ = 0;
};

// What readers share. Constant but for the cache and the counters.
struct DiskShared {
  DiskShared(FeatureFile f, const DiskFeatureOptions& options)
      : file(std::move(f)), cache(options.cache_bytes) {
    source = {file.file().path(), file.file().fd(), options, &counters};
  }
  FeatureFile file;
  PageCache cache;
  FileDescriptor direct;  // A second one of the file; -1: reads are buffered.
  BatchSource source;
  FeatureCounters counters;
};

class DiskReader final : public FeatureReader {
 public:
  DiskReader(DiskShared& shared, std::unique_ptr<BatchReader> reads)
      : shared_(shared), batch_(std::move(reads)) {
    FeatureCounters::Add(shared_.counters.readers, 1);
  }
  ~DiskReader() override {
    FeatureCounters::Subtract(shared_.counters.readers, 1);
    FeatureCounters::Subtract(shared_.counters.memory, buffer_.bytes());
  }

  Result<size_t> Fetch(std::span<const FeatureKey> keys,
                       std::span<const std::byte*> rows) override {
    try {
      if (Status read = ReadPagesOf(keys); !read) return tl::unexpected(read.error());
    } catch (const std::bad_alloc&) {
      return OutOfMemory();
    }
    size_t found = 0;
    for (size_t i = 0; i < keys.size(); ++i) {
      const std::byte* const record = RecordOf(keys[i].slot);
      const Result<bool> has = shared_.file.Has(keys[i], record);
      if (!has) return tl::unexpected(has.error());
      rows[i] = *has ? record : nullptr;
      if (*has) ++found;
    }
    shared_.counters.Fetched(keys.size(), found);
    return found;
  }

 private:
  struct Miss {
    size_t position;  // In pages_.
    PageCache::Version version;
  };

  static tl::unexpected<Error> OutOfMemory() {
    return MakeError(ErrorCode::kOutOfMemory, "reader of rows on disk: no memory");
  }

  // The page that has a byte of the file.
  static uint64_t PageAt(uint64_t offset) { return offset / kPageBytes; }

  // Brings all pages that have a part of a row into the buffer, in the order of the file: pages
  // that follow each other there do so in the buffer, too, and so a record is in one piece.
  Status ReadPagesOf(std::span<const FeatureKey> keys) {
    pages_.clear();
    for (const FeatureKey& key : keys) {
      const uint64_t begin = shared_.file.OffsetOf(key.slot);
      const uint64_t last = PageAt(begin + shared_.file.stride() - 1);
      for (uint64_t page = PageAt(begin); page <= last; ++page) pages_.push_back(page);
    }
    std::sort(pages_.begin(), pages_.end());
    pages_.erase(std::unique(pages_.begin(), pages_.end()), pages_.end());
    if (!Reserve(pages_.size())) return OutOfMemory();
    FindMisses();
    if (misses_.empty()) return {};
    FeatureCounters::Add(shared_.counters.reads, reads_.size());
    FeatureCounters::Add(shared_.counters.bytes_read, misses_.size() * kPageBytes);
    if (Status read = batch_->Read(reads_); !read) return read;
    SHOAL_SYNC_POINT("fill.read");
    for (const Miss& miss : misses_)
      shared_.cache.Enter(pages_[miss.position], buffer_.Page(miss.position), miss.version);
    return {};
  }

  bool Reserve(size_t pages) {
    const size_t before = buffer_.bytes();
    const bool done = buffer_.Reserve(pages);
    FeatureCounters::Add(shared_.counters.memory, buffer_.bytes());
    FeatureCounters::Subtract(shared_.counters.memory, before);
    return done;
  }

  // Sets misses_, and reads_: one for each run of pages that follow each other.
  void FindMisses() {
    misses_.clear();
    reads_.clear();
    for (size_t i = 0; i < pages_.size(); ++i) {
      PageCache::Version version;
      if (shared_.cache.Copy(pages_[i], buffer_.Page(i), version)) continue;
      const bool goes_on =
          !misses_.empty() && misses_.back().position + 1 == i && pages_[i - 1] + 1 == pages_[i];
      if (!goes_on) reads_.push_back({pages_[i] * kPageBytes, buffer_.Page(i), 0});
      reads_.back().bytes += kPageBytes;
      misses_.push_back({i, version});
    }
    FeatureCounters::Add(shared_.counters.hits, pages_.size() - misses_.size());
  }

  const std::byte* RecordOf(uint32_t slot) const {
    const uint64_t begin = shared_.file.OffsetOf(slot);
    const auto page = std::lower_bound(pages_.begin(), pages_.end(), PageAt(begin));
    return buffer_.Page(static_cast<size_t>(page - pages_.begin())) + begin % kPageBytes;
  }

  DiskShared& shared_;
  const std::unique_ptr<BatchReader> batch_;
  PageBuffer buffer_;            // Page i is pages_[i].
  std::vector<uint64_t> pages_;  // Ascending.
  std::vector<Miss> misses_;     // Ascending.
  std::vector<FileRead> reads_;
};

class DiskFeatures final : public FeatureStore {
 public:
  DiskFeatures(FeatureFile file, const DiskFeatureOptions& options)
      : shared_(std::move(file), options) {
    FeatureCounters::Add(shared_.counters.memory, shared_.cache.bytes());
    // No page is read that was not asked for.
    (void)posix_fadvise(shared_.source.fd, 0, 0, POSIX_FADV_RANDOM);
    if (options.access == Access::kDirect) OpenDirect();
  }

  size_t row_bytes() const override { return shared_.file.row_bytes(); }

  Status Put(FeatureKey key, const std::byte* row) override {
    try {
      std::vector<std::byte> record(shared_.file.stride());
      shared_.file.Fill(key, row, record.data());
      const uint64_t begin = shared_.file.OffsetOf(key.slot);
      Status written = shared_.file.file().WriteAt(begin, record.data(), record.size());
      SHOAL_SYNC_POINT("put.written");
      const uint64_t end = begin + record.size();
      for (uint64_t page = begin / kPageBytes; page * kPageBytes < end; ++page)
        shared_.cache.Invalidate(page);
      FeatureCounters::Add(shared_.counters.bytes_written, record.size());
      return written;
    } catch (const std::bad_alloc&) {
      return MakeError(ErrorCode::kOutOfMemory, "a row for the disk: no memory");
    }
  }

  Status Sync() override { return shared_.file.file().Sync(); }

  Result<std::unique_ptr<FeatureReader>> NewReader(size_t /*max_rows*/) override {
    std::unique_ptr<BatchReader> reads = NewBatchReader(shared_.source);
    std::unique_ptr<FeatureReader> reader;
    if (reads != nullptr) reader.reset(new (std::nothrow) DiskReader(shared_, std::move(reads)));
    if (reader == nullptr)
      return MakeError(ErrorCode::kOutOfMemory, "reader of rows on disk: no memory");
    return reader;
  }

  FeatureStats Stats() const override { return shared_.counters.Read(); }

 private:
  void OpenDirect() {
    shared_.direct =
        FileDescriptor(open(shared_.source.path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    if (shared_.direct.get() >= 0)
      shared_.source.fd = shared_.direct.get();
    else
      shared_.source.options.access = Access::kBuffered;
  }

  DiskShared shared_;
};

}  // namespace

Result<std::unique_ptr<FeatureStore>> OpenDiskFeatures(const std::filesystem::path& path,
                                                       size_t row_bytes,
                                                       const DiskFeatureOptions& options) {
  try {
    if (Status ok =
            CheckRange(ErrorCode::kInvalidArgument, "queue_depth", options.queue_depth, 1, 4096);
        !ok)
      return tl::unexpected(ok.error());
    Result<FeatureFile> file = FeatureFile::Open(path, row_bytes);
    if (!file) return tl::unexpected(file.error());
    return std::make_unique<DiskFeatures>(*std::move(file), options);
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "rows on disk: no memory");
  }
}

}  // namespace shoal
