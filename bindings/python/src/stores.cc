#include "stores.h"

#include <nanobind/stl/string.h>

#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "calls.h"
#include "shoal/feature_stores.h"
#include "shoal/snapshot.h"

namespace shoal::python {
namespace {

// An object of Python, used and destroyed by any thread, without the GIL.
class Adaptor {
 public:
  explicit Adaptor(nb::object object) : object_(std::move(object)) {}
  Adaptor(const Adaptor&) = delete;
  Adaptor& operator=(const Adaptor&) = delete;
  ~Adaptor() {
    const nb::gil_scoped_acquire acquired;
    if (acquired.is_valid())
      object_.reset();
    else
      object_.release();  // The interpreter is gone, and the object with it.
  }

  // Calls work(object) with the GIL; what it raises becomes an error.
  template <class Work>
  Status Call(const char* what, const Work& work) const {
    const nb::gil_scoped_acquire acquired;
    if (!acquired.is_valid())
      return MakeError(ErrorCode::kIo, "feature store: the interpreter has ended");
    try {
      work(object_);
      return {};
    } catch (nb::python_error& error) {
      const std::string text = nb::cast<std::string>(nb::str(error.value()));
      const std::string type = nb::cast<std::string>(nb::str(error.type().attr("__name__")));
      return MakeError(ErrorCode::kIo,
                       std::string("feature store: ") + what + ": " + type + ": " + text);
    } catch (const std::exception& error) {
      return MakeError(ErrorCode::kIo, std::string("feature store: ") + what + ": " + error.what());
    }
  }

 private:
  nb::object object_;
};

struct RowShape {
  ScalarType type;
  size_t dim;
  size_t bytes() const { return BytesOf(type, dim); }
};

class PythonReader : public FeatureReader {
 public:
  PythonReader(const Adaptor& adaptor, RowShape shape, size_t max_rows)
      : adaptor_(adaptor), shape_(shape), buffer_(max_rows * shape.bytes()) {}

  // The rows are copied: the store may change its array.
  Result<size_t> Fetch(std::span<const FeatureKey> keys,
                       std::span<const std::byte*> rows) override {
    size_t found = 0;
    Status ok = adaptor_.Call("fetch", [&](const nb::object& store) {
      const NewArray<uint32_t> slots = NewCounts(keys.size());
      const NewArray<uint64_t> ids = NewIds(keys.size());
      for (size_t i = 0; i < keys.size(); ++i) {
        slots.data[i] = keys[i].slot;
        ids.data[i] = keys[i].id;
      }
      const nb::object answer = store.attr("fetch")(slots.object, ids.object);
      const VectorArray fetched = VectorsOf(answer[0]);
      const std::span<const uint8_t> there = FlagsOf(answer[1]);
      std::memcpy(buffer_.data(), fetched.data, keys.size() * shape_.bytes());
      for (size_t i = 0; i < keys.size(); ++i) {
        rows[i] = there[i] != 0 ? buffer_.data() + i * shape_.bytes() : nullptr;
        found += there[i];
      }
    });
    if (!ok) return tl::unexpected(std::move(ok.error()));
    return found;
  }

 private:
  const Adaptor& adaptor_;
  const RowShape shape_;
  std::vector<std::byte> buffer_;
};

class PythonStore : public FeatureStore {
 public:
  PythonStore(nb::object store, RowShape shape) : adaptor_(std::move(store)), shape_(shape) {}

  size_t row_bytes() const override { return shape_.bytes(); }

  Status Put(FeatureKey key, const std::byte* row) override {
    return adaptor_.Call("put", [&](const nb::object& store) {
      const NewArray<void> copy = NewVector(shape_.type, shape_.dim);
      std::memcpy(copy.data, row, shape_.bytes());
      store.attr("put")(key.slot, key.id, copy.object);
    });
  }

  void Free(FeatureKey key) override {
    // A store that fails here keeps the row.
    static_cast<void>(adaptor_.Call(
        "free", [&](const nb::object& store) { store.attr("free")(key.slot, key.id); }));
  }

  Status Sync() override {
    return adaptor_.Call("sync", [](const nb::object& store) { store.attr("sync")(); });
  }

  Result<std::unique_ptr<FeatureReader>> NewReader(size_t max_rows) override {
    try {
      return std::make_unique<PythonReader>(adaptor_, shape_, max_rows);
    } catch (const std::bad_alloc&) {
      return MakeError(ErrorCode::kOutOfMemory, "feature store: no memory for a reader");
    }
  }

 private:
  const Adaptor adaptor_;
  const RowShape shape_;
};

using Store = std::unique_ptr<FeatureStore>;

Store OpenDisk(const std::string& path, size_t row_bytes, nb::handle features) {
  using Options = DiskFeatureOptions;
  const bool best = nb::cast<std::string>(features[2]) == "best";
  const bool direct = nb::cast<bool>(features[3]);
  const Options options{.engine = best ? Options::Engine::kBest : Options::Engine::kPread,
                        .access = direct ? Options::Access::kDirect : Options::Access::kBuffered,
                        .cache_bytes = nb::cast<size_t>(features[4]),
                        .queue_depth = nb::cast<uint32_t>(features[5])};
  return ValueOf(WithoutGil([&] { return OpenDiskFeatures(path, row_bytes, options); }));
}

Store OpenDataset(const std::string& path, ScalarType type, nb::handle ids) {
  std::vector<ExternalId> own;
  if (!ids.is_none()) {
    const std::span<const uint64_t> given = IdsOf(ids);
    own.assign(given.begin(), given.end());
  }
  return ValueOf(WithoutGil([&] { return OpenDatasetFeatures(path, type, own); }));
}

}  // namespace

Store FeaturesOf(nb::handle features, const IndexOptions& options) {
  const RowShape shape{options.scalar_type, options.dim};
  const auto kind = nb::cast<std::string>(features[0]);
  if (kind == "ram") return ValueOf(MakeRamFeatures(shape.bytes()));
  if (kind == "python") return std::make_unique<PythonStore>(nb::object(features[1]), shape);
  const auto path = nb::cast<std::string>(features[1]);
  if (kind == "mmap")
    return ValueOf(WithoutGil([&] { return OpenMmapFeatures(path, shape.bytes()); }));
  if (kind == "disk") return OpenDisk(path, shape.bytes(), features);
  return OpenDataset(path, shape.type, features[2]);
}

IndexOptions SavedOptions(const std::string& path) {
  return ValueOf(WithoutGil([&] { return InspectSnapshot(path); })).options;
}

}  // namespace shoal::python
