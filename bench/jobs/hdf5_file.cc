#include "jobs/hdf5_file.h"

#include <fmt/format.h>
#include <hdf5.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace shoal::bench {
namespace {

// An identifier of HDF5's, and the function that gives it back.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&&) = delete;
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  explicit operator bool() const { return id_ >= 0; }
  hid_t get() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

constexpr struct {
  std::string_view word;
  Metric metric;
} kDistances[] = {{"euclidean", Metric::kL2},        {"l2", Metric::kL2},
                  {"angular", Metric::kCosine},      {"cosine", Metric::kCosine},
                  {"ip", Metric::kInnerProduct},     {"dot", Metric::kInnerProduct},
                  {"manhattan", Metric::kManhattan}, {"l1", Metric::kManhattan},
                  {"mips", Metric::kInnerProduct}};

struct Table {
  Handle id;
  size_t rows = 0;
  size_t columns = 0;
  ScalarType type = ScalarType::kFloat32;  // That its elements are read as.
  bool is_integer = false;
};

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : path_(path) {}

  Result<Hdf5Dataset> Read() {
    if (!std::filesystem::exists(path_))
      return MakeError(ErrorCode::kFileNotFound, path_.string() + ": no such file");
    // Its messages would go to stderr, and say less than ours.
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    const Handle file(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    if (!file) return Wrong(ErrorCode::kCorrupt, "format", "HDF5", "something else");
    Hdf5Dataset data;
    if (auto ok = ReadMetric(file.get(), data); !ok) return tl::unexpected(ok.error());
    if (auto ok = ReadVectors(file.get(), data); !ok) return tl::unexpected(ok.error());
    if (auto ok = ReadTruth(file.get(), data); !ok) return tl::unexpected(ok.error());
    return data;
  }

 private:
  tl::unexpected<Error> Wrong(ErrorCode code, std::string_view field, std::string_view expected,
                              std::string_view found) const {
    return MakeError(
        code, fmt::format("{}: {}: expected {}, found {}", path_.string(), field, expected, found));
  }

  // A string attribute of the root; empty where there is none.
  static std::string Attribute(hid_t file, const char* name) {
    if (H5Aexists(file, name) <= 0) return {};
    const Handle attribute(H5Aopen(file, name, H5P_DEFAULT), H5Aclose);
    const Handle type(attribute ? H5Aget_type(attribute.get()) : -1, H5Tclose);
    if (!type || H5Tget_class(type.get()) != H5T_STRING) return {};
    if (H5Tis_variable_str(type.get()) > 0) {
      char* text = nullptr;
      const Handle memory(H5Tcopy(H5T_C_S1), H5Tclose);
      H5Tset_size(memory.get(), H5T_VARIABLE);
      H5Tset_cset(memory.get(), H5Tget_cset(type.get()));
      if (H5Aread(attribute.get(), memory.get(), static_cast<void*>(&text)) < 0) return {};
      std::string value = text == nullptr ? "" : text;
      H5free_memory(text);
      return value;
    }
    std::string value(H5Tget_size(type.get()), '\0');
    if (H5Aread(attribute.get(), type.get(), value.data()) < 0) return {};
    value.resize(std::min(value.size(), value.find('\0')));
    return value;
  }

  Status ReadMetric(hid_t file, Hdf5Dataset& data) const {
    if (const std::string type = Attribute(file, "type"); !type.empty() && type != "dense")
      return Wrong(ErrorCode::kUnsupported, "attribute type", "dense", "'" + type + "'");
    data.distance = Attribute(file, "distance");
    for (const auto& [word, metric] : kDistances) {
      if (data.distance != word) continue;
      data.metric = metric;
      return {};
    }
    return Wrong(data.distance.empty() ? ErrorCode::kCorrupt : ErrorCode::kUnsupported,
                 "attribute distance", "euclidean, angular or ip",
                 data.distance.empty() ? "none" : "'" + data.distance + "'");
  }

  Result<Table> Open(hid_t file, const char* name) const {
    Table table{.id = Handle(H5Dopen2(file, name, H5P_DEFAULT), H5Dclose)};
    if (!table.id) return Wrong(ErrorCode::kCorrupt, name, "a data set of this name", "none");
    const Handle space(H5Dget_space(table.id.get()), H5Sclose);
    hsize_t shape[2] = {0, 0};
    if (!space || H5Sget_simple_extent_ndims(space.get()) != 2 ||
        H5Sget_simple_extent_dims(space.get(), shape, nullptr) != 2 || shape[0] == 0 ||
        shape[1] == 0)
      return Wrong(ErrorCode::kCorrupt, name, "rows and columns", "another shape");
    table.rows = shape[0];
    table.columns = shape[1];
    const Handle type(H5Dget_type(table.id.get()), H5Tclose);
    const H5T_class_t kind = H5Tget_class(type.get());
    if (kind != H5T_FLOAT && kind != H5T_INTEGER)
      return Wrong(ErrorCode::kUnsupported, name, "numbers", "elements of another type");
    table.is_integer = kind == H5T_INTEGER;
    if (table.is_integer && H5Tget_size(type.get()) == 1) {
      table.type = H5Tget_sign(type.get()) == H5T_SGN_NONE ? ScalarType::kUint8 : ScalarType::kInt8;
    }
    return table;
  }

  Result<Matrix> ReadMatrix(hid_t file, const char* name) const {
    const auto table = Open(file, name);
    if (!table) return tl::unexpected(table.error());
    if (table->columns > kMaxDim) {
      return Wrong(ErrorCode::kUnsupported, name, fmt::format("at most {} columns", kMaxDim),
                   std::to_string(table->columns));
    }
    auto matrix = Matrix::Create(table->type, table->rows, table->columns);
    if (!matrix) return matrix;
    const hid_t memory = table->type == ScalarType::kUint8  ? H5T_NATIVE_UINT8
                         : table->type == ScalarType::kInt8 ? H5T_NATIVE_INT8
                                                            : H5T_NATIVE_FLOAT;
    if (H5Dread(table->id.get(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, matrix->data()) < 0)
      return Wrong(ErrorCode::kCorrupt, name, "readable elements", "damage");
    if (table->type == ScalarType::kFloat32) {
      const std::span values(reinterpret_cast<const float*>(matrix->data()),
                             table->rows * table->columns);
      const auto bad = std::find_if(values.begin(), values.end(),
                                    [](float value) { return !std::isfinite(value); });
      if (bad != values.end()) {
        const auto at = static_cast<size_t>(bad - values.begin());
        return Wrong(
            ErrorCode::kCorrupt,
            fmt::format("{}: row {}, column {}", name, at / table->columns, at % table->columns),
            "a finite number", std::to_string(*bad));
      }
    }
    return matrix;
  }

  Status ReadVectors(hid_t file, Hdf5Dataset& data) const {
    auto rows = ReadMatrix(file, "train");
    if (!rows) return tl::unexpected(rows.error());
    auto queries = ReadMatrix(file, "test");
    if (!queries) return tl::unexpected(queries.error());
    if (queries->dim() != rows->dim()) {
      return Wrong(ErrorCode::kCorrupt, "test", fmt::format("{} columns, as train", rows->dim()),
                   std::to_string(queries->dim()));
    }
    if (queries->type() != rows->type()) {
      return Wrong(ErrorCode::kCorrupt, "test",
                   fmt::format("{}, as train", ScalarTypeName(rows->type())),
                   ScalarTypeName(queries->type()));
    }
    data.rows = std::move(*rows);
    data.queries = std::move(*queries);
    return {};
  }

  Status ReadTruth(hid_t file, Hdf5Dataset& data) const {
    if (H5Lexists(file, "neighbors", H5P_DEFAULT) <= 0) return {};
    const auto neighbors = Open(file, "neighbors");
    if (!neighbors) return tl::unexpected(neighbors.error());
    const auto shape = [](size_t rows, size_t columns) {
      return fmt::format("{} x {}", rows, columns);
    };
    if (neighbors->rows != data.queries.rows() || !neighbors->is_integer) {
      return Wrong(ErrorCode::kCorrupt, "neighbors",
                   fmt::format("integers, a row for each of {} queries", data.queries.rows()),
                   shape(neighbors->rows, neighbors->columns));
    }
    TruthSet truth;
    truth.queries = neighbors->rows;
    truth.k = neighbors->columns;
    const size_t entries = truth.queries * truth.k;
    std::vector<int64_t> ids(entries);
    if (H5Dread(neighbors->id.get(), H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, ids.data()) <
        0)
      return Wrong(ErrorCode::kCorrupt, "neighbors", "readable elements", "damage");
    for (const int64_t id : ids) {
      if (id < 0 || static_cast<uint64_t>(id) >= data.rows.rows()) {
        return Wrong(ErrorCode::kCorrupt, "neighbors",
                     fmt::format("row numbers below {}", data.rows.rows()), std::to_string(id));
      }
      truth.ids.push_back(static_cast<uint32_t>(id));
    }
    if (H5Lexists(file, "distances", H5P_DEFAULT) > 0) {
      if (auto ok = ReadDistances(file, data, truth); !ok) return ok;
    }
    // Such files are put in order by one formula of a distance, and tell another's.
    constexpr double kSlack = 1e-3;
    if (auto ok = CheckTruthSet(truth, {.slack = kSlack}); !ok)
      return MakeError(ok.error().code, fmt::format("{}: neighbors, distances: {}", path_.string(),
                                                    ok.error().message));
    data.truth = std::move(truth);
    return {};
  }

  Status ReadDistances(hid_t file, const Hdf5Dataset& data, TruthSet& truth) const {
    const auto table = Open(file, "distances");
    if (!table) return tl::unexpected(table.error());
    if (table->rows != truth.queries || table->columns != truth.k) {
      return Wrong(ErrorCode::kCorrupt, "distances",
                   fmt::format("{} x {}, as neighbors", truth.queries, truth.k),
                   fmt::format("{} x {}", table->rows, table->columns));
    }
    truth.distances.resize(truth.queries * truth.k);
    if (H5Dread(table->id.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                truth.distances.data()) < 0)
      return Wrong(ErrorCode::kCorrupt, "distances", "readable elements", "damage");
    // The file has Euclid's distance, shoal its square.
    if (data.metric == Metric::kL2)
      for (float& distance : truth.distances) distance *= distance;
    return {};
  }

  const std::filesystem::path& path_;
};

}  // namespace

Result<Hdf5Dataset> ReadHdf5(const std::filesystem::path& file) { return Reader(file).Read(); }

bool IsHdf5Name(const std::filesystem::path& file) {
  const auto extension = file.extension();
  return extension == ".hdf5" || extension == ".h5" || extension == ".hdf";
}

}  // namespace shoal::bench
