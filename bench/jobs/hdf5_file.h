// HDF5 files in ann-benchmarks' layout: data sets `train` (the rows), `test` (the queries) and, as
// ground truth, `neighbors` and `distances`; the root's attribute `distance` names the metric.
//
// HDF5's own library is not thread-safe as Debian builds it: one call at a time in a process.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal::bench {

struct Hdf5Dataset {
  Matrix rows;     // float32 from floating point, else int8 or uint8 as in the file.
  Matrix queries;  // Of the same type and dimension.
  Metric metric = Metric::kL2;
  std::string distance;           // The attribute: "euclidean", "angular", "ip", ...
  std::optional<TruthSet> truth;  // Of all rows. Distances in `metric` (l2: squared).
};

// FileNotFound; Unsupported: sparse vectors, or a distance that shoal has not; Corrupt names the
// data set, expected and found. Vectors must be finite.
Result<Hdf5Dataset> ReadHdf5(const std::filesystem::path& file);

// Whether the name is one of an HDF5 file: .hdf5, .h5 or .hdf.
bool IsHdf5Name(const std::filesystem::path& file);

}  // namespace shoal::bench
