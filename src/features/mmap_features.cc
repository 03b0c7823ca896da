// Rows in a file that grows, mapped segment by segment, so that no row ever moves.
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <new>
#include <utility>

#include "features/feature_file.h"
#include "features/placed_reader.h"
#include "shoal/feature_stores.h"

namespace shoal {
namespace {

constexpr size_t kMaxSegments = 512;
// A segment is so large, or half of it: address space, of which the file may fill a part.
constexpr size_t kSegmentBytes = size_t{4} << 30;
// The file grows by a quarter of itself, within these bounds.
constexpr uint64_t kLeastGrowth = uint64_t{1} << 20;
constexpr uint64_t kMostGrowth = uint64_t{1} << 30;

unsigned ShiftOf(size_t stride) {
  unsigned shift = 8;  // 256 strides of 16 bytes are a page: segments begin at whole pages.
  while ((stride << (shift + 1)) <= kSegmentBytes) ++shift;
  return shift;
}

class MmapFeatures final : public FeatureStore {
 public:
  explicit MmapFeatures(FeatureFile file)
      : file_(std::move(file)), shift_(ShiftOf(file_.stride())) {}
  ~MmapFeatures() override {
    for (const auto& segment : segments_) {
      std::byte* const base = segment.load(std::memory_order_relaxed);
      if (base != nullptr) munmap(base, SegmentBytes());
    }
  }

  // Maps what the file has.
  Status Init() {
    const Result<uint64_t> size = file_.file().Size();
    if (!size) return tl::unexpected(size.error());
    const uint64_t slots = (*size - FeatureFile::kHeaderBytes) / file_.stride();
    return Map(static_cast<uint32_t>(std::min<uint64_t>(slots, ~uint32_t{0})));
  }

  size_t row_bytes() const override { return file_.row_bytes(); }
  FeatureCounters& counters() { return counters_; }

  Status Grow(uint32_t slots) override {
    const uint64_t needed = file_.OffsetOf(slots);
    const Result<uint64_t> size = file_.file().Size();
    if (!size) return tl::unexpected(size.error());
    if (*size < needed) {
      const uint64_t step = std::clamp(*size / 4, kLeastGrowth, kMostGrowth);
      if (Status grown = file_.file().Allocate(std::max(needed, *size + step)); !grown)
        return grown;
    }
    return Map(slots);
  }

  Status Put(FeatureKey key, const std::byte* row) override {
    file_.Fill(key, row, Record(key.slot));
    FeatureCounters::Add(counters_.bytes_written, file_.stride());
    return {};
  }

  Status Sync() override {
    for (const auto& segment : segments_) {
      std::byte* const base = segment.load(std::memory_order_acquire);
      if (base != nullptr && msync(base, SegmentBytes(), MS_SYNC) != 0)
        return IoError(file_.file().path(), "sync", errno);
    }
    return file_.file().Sync();  // The file's size.
  }

  Result<const std::byte*> Find(FeatureKey key) const {
    if (key.slot >= slots_.load(std::memory_order_acquire)) return nullptr;
    const std::byte* const record = Record(key.slot);
    const Result<bool> has = file_.Has(key, record);
    if (!has) return tl::unexpected(has.error());
    return *has ? record : nullptr;
  }

  Result<std::unique_ptr<FeatureReader>> NewReader(size_t /*max_rows*/) override {
    return PlacedReader<MmapFeatures>::Make(*this);
  }

  std::optional<FeatureAddresses> Addresses() const override {
    return FeatureAddresses{segments_.data(), shift_, file_.stride()};
  }
  FeatureStats Stats() const override { return counters_.Read(); }

 private:
  size_t SegmentBytes() const { return file_.stride() << shift_; }
  std::byte* Record(uint32_t slot) const {
    const size_t in_segment = slot & ((uint32_t{1} << shift_) - 1);
    return segments_[slot >> shift_].load(std::memory_order_relaxed) + in_segment * file_.stride();
  }

  // Maps the segments of [0, slots), which are in the file.
  Status Map(uint32_t slots) {
    const size_t needed = (uint64_t{slots} + (uint64_t{1} << shift_) - 1) >> shift_;
    if (needed > kMaxSegments)
      return Mismatch(ErrorCode::kOutOfMemory, file_.file().path(), "segments",
                      "at most " + Written(kMaxSegments), Written(needed));
    for (size_t i = 0; i < needed; ++i) {
      if (segments_[i].load(std::memory_order_relaxed) != nullptr) continue;
      const auto offset = static_cast<off_t>(file_.OffsetOf(static_cast<uint32_t>(i << shift_)));
      void* const base = mmap(nullptr, SegmentBytes(), PROT_READ | PROT_WRITE, MAP_SHARED,
                              file_.file().fd(), offset);
      if (base == MAP_FAILED) return IoError(file_.file().path(), "map", errno);
      madvise(base, SegmentBytes(), MADV_RANDOM);  // A hint: it may be refused.
      segments_[i].store(static_cast<std::byte*>(base), std::memory_order_release);
    }
    if (slots > slots_.load(std::memory_order_relaxed))
      slots_.store(slots, std::memory_order_release);
    return {};
  }

  FeatureFile file_;
  const unsigned shift_;
  std::array<std::atomic<std::byte*>, kMaxSegments> segments_{};
  std::atomic<uint32_t> slots_{0};  // Release, pairs with Find: after their segments.
  FeatureCounters counters_;
};

}  // namespace

Result<std::unique_ptr<FeatureStore>> OpenMmapFeatures(const std::filesystem::path& path,
                                                       size_t row_bytes) {
  try {
    Result<FeatureFile> file = FeatureFile::Open(path, row_bytes);
    if (!file) return tl::unexpected(file.error());
    auto store = std::make_unique<MmapFeatures>(*std::move(file));
    if (Status mapped = store->Init(); !mapped) return tl::unexpected(mapped.error());
    return store;
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "rows in a mapped file: no memory");
  }
}

}  // namespace shoal
