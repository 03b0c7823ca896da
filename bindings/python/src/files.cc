// Snapshots without an index, vectors in files, exact search.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstring>
#include <string>

#include "options.h"
#include "searching.h"
#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "shoal/snapshot.h"

namespace shoal::python {
namespace {

nb::dict InfoOf(const SnapshotInfo& info) {
  nb::dict dict = DictOf(info.options);
  dict["format_version"] = info.format_version;
  dict["points"] = info.points;
  dict["edges"] = info.edges;
  dict["bytes"] = info.bytes;
  return dict;
}

ScalarType TypeOf(const std::string& name) {
  const auto type = ParseScalarType(name);
  if (!type) throw nb::value_error("dtype: no such name");
  return *type;
}

nb::object ArrayOf(const Matrix& matrix) {
  const NewArray<void> array = NewVectors(matrix.type(), matrix.rows(), matrix.dim());
  if (matrix.rows() > 0) std::memcpy(array.data, matrix.data(), matrix.rows() * matrix.row_bytes());
  return array.object;
}

// ids (queries, k) uint32, distances (queries, k) float32.
nb::tuple Exact(nb::handle base, nb::handle queries, int64_t k, const std::string& metric_name,
                int64_t threads, nb::object progress) {
  const auto metric = ParseMetric(metric_name);
  if (!metric) throw nb::value_error("metric: no such name");
  VectorArray rows = VectorsOf(base), query_rows = VectorsOf(queries);
  if (*metric == Metric::kHamming) {  // Eight bits a byte; those behind the last element are 0.
    for (VectorArray* array : {&rows, &query_rows}) {
      array->type = ScalarType::kBit;
      array->dim *= 8;
    }
  }
  ExactOptions options{.k = CountOf("k", k), .metric = *metric};
  const TruthSet truth = ValueOf(ResultOfLong(
      {CountOf("threads", threads), std::move(progress)}, [&](const BatchOptions& batch) {
        options.batch = batch;
        return ExactSearch(rows.matrix(), query_rows.matrix(), options);
      }));
  const NewArray<uint32_t> ids = NewCounts(truth.queries, truth.k);
  const NewArray<float> distances = NewDistances(truth.queries, truth.k);
  std::copy(truth.ids.begin(), truth.ids.end(), ids.data);
  std::copy(truth.distances.begin(), truth.distances.end(), distances.data);
  return nb::make_tuple(ids.object, distances.object);
}

}  // namespace

void BindFiles(nb::module_& module) {
  using nb::arg;
  module.def(
      "fit_to_memory",
      [](nb::handle options, uint64_t points, uint64_t budget) {
        const FittedOptions fitted = ValueOf(FitToMemory(
            OptionsOf(options, nb::make_tuple(0, "immediate", 1, 100)), points, budget));
        return nb::make_tuple(std::string(CodeName(fitted.options.code)), fitted.bytes);
      },
      arg("options"), arg("points"), arg("memory_budget"));
  module.def(
      "estimate_bytes",
      [](nb::handle options, uint64_t points) {
        return ValueOf(
            EstimateBytes(OptionsOf(options, nb::make_tuple(0, "immediate", 1, 100)), points));
      },
      arg("options"), arg("points"));
  module.def(
      "inspect",
      [](const std::string& path) {
        return InfoOf(ValueOf(WithoutGil([&] { return InspectSnapshot(path); })));
      },
      arg("path"));
  module.def(
      "verify",
      [](const std::string& path, int64_t threads, nb::object progress) {
        return InfoOf(ValueOf(
            ResultOfLong({CountOf("threads", threads), std::move(progress)},
                         [&](const BatchOptions& batch) { return VerifySnapshot(path, batch); })));
      },
      arg("path"), arg("threads"), arg("progress").none());
  module.def("exact_search", &Exact, arg("base"), arg("queries"), arg("k"), arg("metric"),
             arg("threads"), arg("progress").none());
  module.def(
      "read_bin",
      [](const std::string& path, const std::string& dtype) {
        return ArrayOf(ValueOf(WithoutGil([&] { return ReadBin(path, TypeOf(dtype)); })));
      },
      arg("path"), arg("dtype"));
  module.def(
      "write_bin",
      [](const std::string& path, nb::handle vectors) {
        const VectorArray array = VectorsOf(vectors);
        ValueOf(WithoutGil([&] { return WriteBin(path, array.matrix()); }));
      },
      arg("path"), arg("vectors"));
  module.def(
      "read_vecs",
      [](const std::string& path, const std::string& dtype) {
        return ArrayOf(ValueOf(WithoutGil([&] { return ReadVecs(path, TypeOf(dtype)); })));
      },
      arg("path"), arg("dtype"));
  module.def(
      "write_vecs",
      [](const std::string& path, nb::handle vectors) {
        const VectorArray array = VectorsOf(vectors);
        ValueOf(WithoutGil([&] { return WriteVecs(path, array.matrix()); }));
      },
      arg("path"), arg("vectors"));
}

}  // namespace shoal::python
