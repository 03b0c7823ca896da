// What a type of job is. One row in the table of job_types.cc per type; nothing else of
// the runner knows a type.
//
// The runner parses all jobs before it starts the first, so a mistake in the last one is known at
// once. Then it runs them in order, and writes the results file anew around each
// (docs/results.md).
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "runner/field_reader.h"
#include "runner/json.h"

namespace shoal::bench {

// What a job may use. The functions may be called from any thread.
struct JobContext {
  // Where a job may leave files (caches, indexes). It exists while jobs run.
  std::filesystem::path output_directory;
  // Searches the search directories, then the current one; absolute names stand for themselves.
  FindInput find_input;
  // A line of progress, on stderr.
  std::function<void(std::string_view)> say;
  // Something that a reader of the figures must know; goes into the results' `warnings`.
  std::function<void(std::string)> warn;
  // Results so far, for long jobs: what the results file shows if the run is interrupted now.
  std::function<void(const Json&)> checkpoint;
  // Something that must not be: the results stand, the run's status is "failed" and the program's
  // exit status 1. (A job that has no results returns an error instead.)
  std::function<void(std::string)> violated;
};

// One job, parsed and checked.
class Job {
 public:
  virtual ~Job() = default;
  // Runs once. The `results` of the run: any of the sections of docs/results.md.
  virtual Expected<Json> Run(const JobContext& context) = 0;
};

struct JobType {
  std::string_view name;     // What "type" says in a job file: "store-stress".
  std::string_view summary;  // One line.
  // The content of a job with every field, as JSON; runs as printed where its input files are.
  const char* skeleton;
  // Checks all that can be checked before a run: ranges, files, what must agree. Unknown keys are
  // the runner's. `context`: find_input, output_directory (which need not exist yet) and say.
  Expected<std::unique_ptr<Job>> (*parse)(FieldReader& content, const JobContext& context);
};

// All types, by name.
std::span<const JobType* const> JobTypes();
// Null: there is none of that name.
const JobType* FindJobType(std::string_view name);

}  // namespace shoal::bench
