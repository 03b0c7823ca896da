// Whether a feature store that an index is opened over has the index's vectors.
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "index_impl.h"
#include "persist/snapshot_file.h"

namespace shoal {
namespace {

constexpr size_t kVectorsAtOnce = 256;
static_assert(kVectorsAtOnce <= SearchScratch::kMaxIds);

std::string NameOf(FeatureKey key) {
  return "id " + std::to_string(key.id) + ", slot " + std::to_string(key.slot);
}

// How many points are without a vector, and the first of them.
class Missing {
 public:
  explicit Missing(uint32_t points) : points_(points), first_(points) {}
  // Any thread.
  void Note(uint32_t point) {
    count_.fetch_add(1, std::memory_order_relaxed);
    uint32_t first = first_.load(std::memory_order_relaxed);
    while (point < first &&
           !first_.compare_exchange_weak(first, point, std::memory_order_relaxed)) {
    }
  }
  // When the threads are done.
  uint32_t found() const { return points_ - count_.load(std::memory_order_relaxed); }
  uint32_t first() const { return first_.load(std::memory_order_relaxed); }

 private:
  const uint32_t points_;
  std::atomic<uint32_t> count_{0};
  std::atomic<uint32_t> first_;
};

}  // namespace

Status IndexImpl::CheckStoredVectors(std::span<const SlotId> points,
                                     const std::filesystem::path& file, const BatchOptions& batch) {
  const auto key_of = [&](size_t point) {
    return FeatureKey{points[point], slots_.external_id(points[point])};
  };
  const auto n = static_cast<uint32_t>(points.size());
  FirstError first_error;
  Missing missing(n);
  const auto check = [&](size_t begin, size_t end) {
    if (!first_error.ok()) return;
    std::vector<FeatureKey> keys;
    for (size_t i = begin; i < end; ++i) keys.push_back(key_of(i));
    auto guard = epochs_.Pin();
    Operation op(guard, rows_.buffer_bytes());
    std::vector<std::byte> code(rows_.traversal().codec.row_bytes());
    first_error.Note(rows_.stored()->ForEach(keys, op, [&](size_t i, const std::byte* bytes) {
      const VectorView vector(bytes, options_.scalar_type, options_.dim);
      if (bytes == nullptr) {
        missing.Note(static_cast<uint32_t>(begin + i));
        return;
      }
      const std::string name = "store: vector of " + NameOf(keys[i]);
      if (!rows_.are_fetched()) {
        if (!HasCodeOf(vector, keys[i].slot, code.data()))
          first_error.Note(Invalid(name, "that of its code in " + file.string(), "another"));
      } else if (Status valid = check_.Vector(vector, "vector"); !valid) {  // There is no code.
        first_error.Note(Invalid(name, "one that may be inserted", valid.error().message));
      }
      rows_.stored()->codec().Learn(vector);
    }));
  };
  const size_t done = ParallelFor(batch.threads, n, kVectorsAtOnce, {}, check, batch.stop);
  if (Status ok = first_error.Take(); !ok) return ok;
  if (done < n) return Cancelled("load", n / 2, n);
  if (missing.found() == n) return {};
  return Invalid(
      "store: vectors of " + file.string(), std::to_string(n),
      std::to_string(missing.found()) + ", without that of " + NameOf(key_of(missing.first())));
}

// `code`: working memory for a row. A row of a set that is being left cannot be compared.
bool IndexImpl::HasCodeOf(VectorView vector, SlotId slot, std::byte* code) {
  if (rows_.IsStale(slot)) return true;
  const auto& traversal = rows_.parts().front();
  traversal->codec->Encode(vector, code);
  return std::memcmp(code, traversal->features.Row(slot), traversal->codec->row_bytes()) == 0;
}

}  // namespace shoal
