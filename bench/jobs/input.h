// The vectors that a job works on, from whatever file they are in.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "runner/job.h"
#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "shoal/index.h"
#include "shoal/options.h"
#include "shoal/types.h"

namespace shoal::bench {

// What becomes of vectors that have no cosine distance, under that metric.
enum class ZeroVectors { kRefuse, kSkip };

struct InputRequest {
  std::filesystem::path base_file;   // As ReadRows (jobs/data.h), or HDF5.
  std::filesystem::path query_file;  // Likewise; with HDF5 it may be empty: the file has its own.
  size_t rows = 0;                   // The first ones of the base, which has as many; 0: all.
  size_t held_out = 0;               // The last ones of these are the queries; 0: query_file's.
  std::optional<Metric> metric;      // None: the file's, if it names one, or l2.
  std::optional<ScalarType> type;    // None: the base's.
  ZeroVectors zero_vectors = ZeroVectors::kRefuse;
};

struct Input {
  Matrix rows;     // With those to skip, so that numbers stay.
  Matrix queries;  // Of the same type and dimension; without those to skip.
  Metric metric = Metric::kL2;
  // Of the file, where it has some and its rows, queries and metric are those that are used.
  std::optional<TruthSet> truth;
  // ZeroVectors::kSkip: their numbers in the files, ascending.
  std::vector<uint32_t> zero_rows, zero_queries;
};

// The fields of a job's "data" that say so.
InputRequest ParseInput(FieldReader& data, const JobContext& context);

// A code by its name.
Code ParseCodeField(FieldReader& object, std::string_view field, const char* otherwise);
// Fields of a job's "build": degree, list and alpha; repair and repair_threads.
void ParseBuild(FieldReader& build, IndexOptions& index);
void ParseRepair(FieldReader& build, IndexOptions& index);

// An empty index for such rows; of `options` all but dimension, type and metric count.
Result<Index> CreateIndex(const Input& input, IndexOptions options);

// Everything is converted to one type. An error names the file, and the first zero vector under
// cosine unless these are to be skipped.
Expected<Input> ReadInput(const InputRequest& request);

// The rows of one file, of any format that ReadInput takes; HDF5: `train`.
Expected<Matrix> ReadBase(const std::filesystem::path& file, size_t rows = 0);

}  // namespace shoal::bench
