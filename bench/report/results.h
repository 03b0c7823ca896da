// Results files (docs/results.md) as the report needs them: checked, with the parts that it does
// not draw left out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runner/json.h"

namespace shoal::bench::report {

// One list size (L, ef) of one engine.
struct CurvePoint {
  double list = 0;
  double recall = 0;             // 0 to 1
  std::vector<double> qps = {};  // one of each round, > 0; empty: was not timed
  std::optional<double> distances = {};
  std::optional<double> p50_us = {}, p99_us = {}, p999_us = {};
};
struct Curve {
  std::string engine = {};
  int threads = 1;
  int k = 0;                            // 0: unknown
  std::vector<CurvePoint> points = {};  // by rising recall
};
struct Build {
  std::string engine = {};
  double seconds = 0;  // > 0
  std::optional<double> threads = {}, cpu_seconds = {}, list = {};
  std::string from = {};  // When it was built, if not in this run.
};
struct Memory {
  std::string engine = {};
  double bytes_per_point = 0;  // > 0
  std::optional<double> points = {};
  std::vector<std::pair<std::string, double>> parts = {};  // bytes per point
};
// What a step of a stream has not is absent.
struct StreamStep {
  double step = 0;
  std::string operation = {};  // insert, delete, replace, search, or a mixture
  std::optional<double> at_seconds = {}, seconds = {}, points = {}, live = {};
  std::optional<double> recall = {}, recall_low = {}, recall_high = {}, qps = {};
  std::optional<double> p50_us = {}, p99_us = {}, p999_us = {}, max_us = {};
  std::optional<double> insert_rate = {}, delete_rate = {}, replace_rate = {};
  std::optional<double> resident_bytes = {}, index_bytes = {};
};
struct Stream {
  std::string engine = {};
  std::vector<StreamStep> steps = {};
};

using Facts = std::vector<std::pair<std::string, std::string>>;

// Operations that overlapped, over a whole run.
struct OverlapKind {
  std::string name = {};  // searches, writes, deletes
  std::optional<double> count = {}, rate = {}, p50_us = {}, p99_us = {}, p999_us = {}, max_us = {};
};
struct Overlap {
  std::vector<OverlapKind> kinds = {};
  Facts plain = {};  // Bounds of the recall, and what no run may show.
};

struct Run {
  std::string type = {}, name = {}, status = {}, error = {}, started = {};
  std::optional<double> seconds = {}, others_cores = {}, stolen = {};
  std::vector<std::string> warnings = {};
  std::string input = {};  // The job's content, as JSON text.

  std::vector<Curve> curves = {};
  std::vector<Build> builds = {};
  std::vector<Memory> memory = {};
  std::vector<std::pair<std::string, Facts>> settings = {};  // Of each engine.
  std::optional<Stream> stream = {};
  std::optional<Overlap> overlap = {};
  Facts plain = {};  // Members of the results that are plain numbers or texts.
};
struct ResultsFile {
  std::string name = {};  // Without its folders.
  Facts machine = {};
  std::string command = {};
  std::vector<Run> runs = {};
};

// Reads and checks a file. An error names the file, the JSON path, what was expected and found;
// another schema or version is one.
Expected<ResultsFile> LoadResults(const std::string& path);
// The same of a document whose schema and version are known to be right; `path` is what errors
// call it.
Expected<ResultsFile> ParseResults(const Json& document, const std::string& path);

}  // namespace shoal::bench::report
