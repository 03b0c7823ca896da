// The results file (docs/results.md), which is whole at every moment: it is written anew before and
// after every job, and a job that runs stands in it as interrupted until it ends.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "runner/json.h"

namespace shoal::bench {

inline constexpr const char* kResultsSchema = "shoal-bench-results";
inline constexpr int kResultsVersion = 1;

// One thread at a time.
class ResultsFile {
 public:
  // Writes a file without runs. `command`: how the program was called.
  static Expected<ResultsFile> Create(const std::filesystem::path& path, std::string command);

  // Adds a run, with status "interrupted".
  Expected<void> Begin(const Json& run);
  // What the run is now; the last one that was begun.
  Expected<void> Update(const Json& run);

  const std::filesystem::path& path() const { return path_; }

 private:
  ResultsFile(std::filesystem::path path, Json json)
      : path_(std::move(path)), json_(std::move(json)) {}

  std::filesystem::path path_;
  Json json_;
};

// A results file that another run has written. Refused: another schema, a newer version, what has
// no runs.
Expected<Json> ReadResults(const std::filesystem::path& path);

}  // namespace shoal::bench
