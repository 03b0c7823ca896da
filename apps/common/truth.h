// Ground truth in the form of DiskANN's programs, and recall over many answers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "shoal/index.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal::apps {

struct SearchRun;  // apps/common/measure.h

// The programs' files hold distances in DiskANN's form: l2 squared, the inner product itself (mips:
// larger is nearer), and 2 - 2 cos (cosine: the squared l2 distance of the normalised vectors).
// This turns shoal's distances into that, exactly.
float ToFileDistance(Metric metric, float distance);

// Reads a truthset into shoal's distances. Invalid unless it is for `queries` queries and has at
// least k neighbours of each; Corrupt where it cannot be the truth of any data.
Result<TruthSet> ReadTruthFor(const std::filesystem::path& path, Metric metric, size_t queries,
                              size_t k);

// How the ids of a truthset name points.
enum class Named { kByRow, kByTag };
// How many of the truth's ids are no points of the index. Corrupt, naming file, query and position:
// one that is no row number of it. Tags may have gone since, but not all: that is Corrupt, too.
Result<size_t> CheckTruthPoints(const std::filesystem::path& path, const TruthSet& truth,
                                const Index& index, Named named);

// Writes one, from shoal's distances.
Status WriteTruth(const std::filesystem::path& path, Metric metric, TruthSet truth);

// What the rows of a base file are called.
struct BaseIdentity {
  std::vector<uint32_t> ids;     // One a row.
  std::vector<uint8_t> include;  // Empty: all.
};
// Their tags, where rows of tag 0 are left out; their numbers, where tags_file is empty.
Result<BaseIdentity> ReadIdentity(const std::filesystem::path& tags_file, size_t rows);

struct TruthRequest {
  std::filesystem::path base_file;
  std::filesystem::path query_file;
  std::filesystem::path tags_file;  // Empty: row numbers are the ids.
  ScalarType type = ScalarType::kFloat32;
  Metric metric = Metric::kL2;
  size_t k = 100;
  size_t threads = 0;
  size_t part_bytes = SIZE_MAX;  // Of base rows in memory at a time.
  bool skip_zero_vectors = false;
};
// The exact neighbours of every query, found part by part. Shows progress. Zero vectors, left out
// under cosine, are no neighbours and have none. Warns where other queries have fewer than k.
Result<TruthSet> ComputeTruth(const TruthRequest& request);

// Mean recall@k in percent over the queries that were asked; `columns`: the k of the run.
double MeanRecall(const TruthSet& truth, const SearchRun& run, size_t columns, size_t k);

}  // namespace shoal::apps
