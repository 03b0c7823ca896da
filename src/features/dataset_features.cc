// Rows of a .bin or .npy that is there already, mapped and never written. They are found by id.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "base/file.h"
#include "features/placed_reader.h"
#include "persist/dataset_layout.h"
#include "shoal/feature_stores.h"

namespace shoal {
namespace {

class DatasetFeatures final : public FeatureStore {
 public:
  DatasetFeatures(std::filesystem::path path, MappedFile file, const DatasetLayout& layout,
                  size_t row_bytes)
      : path_(std::move(path)), file_(std::move(file)), layout_(layout), row_bytes_(row_bytes) {
    // A hint: it may be refused.
    madvise(const_cast<std::byte*>(file_.data()), file_.size(), MADV_RANDOM);
  }

  // Row i is that of ids[i].
  Status Name(const std::vector<ExternalId>& ids) {
    if (ids.size() != layout_.rows)
      return Mismatch(ErrorCode::kInvalidArgument, path_, "ids", Written(layout_.rows),
                      Written(ids.size()));
    rows_of_ids_.reserve(ids.size());
    for (size_t i = 0; i < ids.size(); ++i) rows_of_ids_.emplace_back(ids[i], i);
    std::sort(rows_of_ids_.begin(), rows_of_ids_.end());
    const auto same_id = [](const auto& a, const auto& b) { return a.first == b.first; };
    const auto twice = std::adjacent_find(rows_of_ids_.begin(), rows_of_ids_.end(), same_id);
    if (twice != rows_of_ids_.end())
      return Mismatch(ErrorCode::kInvalidArgument, path_, "ids", "each once",
                      Written(twice->first) + " twice");
    counters_.memory = rows_of_ids_.size() * sizeof(rows_of_ids_.front());
    return {};
  }

  size_t row_bytes() const override { return row_bytes_; }
  FeatureCounters& counters() { return counters_; }

  Status Put(FeatureKey key, const std::byte* row) override {
    const std::byte* const there = RowOf(key.id);
    if (there != nullptr && std::memcmp(there, row, row_bytes_) == 0) return {};
    return Mismatch(ErrorCode::kInvalidArgument, path_, "row of id " + Written(key.id),
                    there == nullptr ? "an id of the file" : "the vector that the file has",
                    there == nullptr ? "another" : "another vector");
  }

  Result<const std::byte*> Find(FeatureKey key) const { return RowOf(key.id); }

  Result<std::unique_ptr<FeatureReader>> NewReader(size_t /*max_rows*/) override {
    return PlacedReader<DatasetFeatures>::Make(*this);
  }
  FeatureStats Stats() const override { return counters_.Read(); }

 private:
  // Null: the file has none.
  const std::byte* RowOf(ExternalId id) const {
    uint64_t row = id;
    if (!rows_of_ids_.empty()) {
      const auto at = std::lower_bound(rows_of_ids_.begin(), rows_of_ids_.end(),
                                       std::pair<ExternalId, uint64_t>(id, 0));
      if (at == rows_of_ids_.end() || at->first != id) return nullptr;
      row = at->second;
    }
    return row < layout_.rows ? file_.data() + layout_.offset + row * row_bytes_ : nullptr;
  }

  const std::filesystem::path path_;
  const MappedFile file_;
  const DatasetLayout layout_;
  const size_t row_bytes_;
  // Ascending; empty: the id is the row. Constant after Name.
  std::vector<std::pair<ExternalId, uint64_t>> rows_of_ids_;
  FeatureCounters counters_;
};

}  // namespace

Result<std::unique_ptr<FeatureStore>> OpenDatasetFeatures(const std::filesystem::path& path,
                                                          ScalarType type,
                                                          const std::vector<ExternalId>& ids) {
  try {
    const Result<InputFile> file = InputFile::Open(path);
    if (!file) return tl::unexpected(file.error());
    const Result<DatasetLayout> layout =
        path.extension() == ".npy" ? NpyLayout(*file, type) : BinLayout(*file, type);
    if (!layout) return tl::unexpected(layout.error());
    Result<MappedFile> map = file->Map();
    if (!map) return tl::unexpected(map.error());
    auto store = std::make_unique<DatasetFeatures>(path, *std::move(map), *layout,
                                                   BytesOf(type, layout->dim));
    if (!ids.empty()) {
      if (Status named = store->Name(ids); !named) return tl::unexpected(named.error());
    }
    return store;
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "rows of a dataset: no memory");
  }
}

}  // namespace shoal
