// A job file: where to look for inputs, where to leave files, and what to run.
//
//   { "search_directories": ["data"], "output_directory": null,
//     "jobs": [ {"type": "store-stress", "name": "optional", "content": {...}} ] }
//
// Search directories are relative to the job file's folder, the output directory to the current
// one; null: the folder of the results.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "runner/job.h"
#include "runner/json.h"

namespace shoal::bench {

struct JobFile {
  struct Entry {  // NOLINT(bugprone-exception-escape): nlohmann's moves throw nothing.
    const JobType* type = nullptr;
    std::string name;          // As given, or "<type>-<position from 1>".
    Json input;                // The content as it was understood, defaults filled in.
    std::unique_ptr<Job> job;  // Parsed, ready to run.
  };
  std::filesystem::path output_directory;
  FindInput find_input;
  std::vector<Entry> entries;
};

struct JobFileOptions {
  // Where the results will go; its folder stands in for a null output directory.
  std::filesystem::path results;
  // Searched before those of the file.
  std::vector<std::filesystem::path> search_directories;
};

// Reads, checks and parses everything; the first mistake is the error.
Expected<JobFile> LoadJobFile(const std::filesystem::path& path, const JobFileOptions& options);

// A job file without jobs, or with an example of each of `types`.
Json SkeletonJobFile(const std::vector<const JobType*>& types);
// {"type": ..., "content": ...}: an example of a job.
Json ExampleJob(const JobType& type);

}  // namespace shoal::bench
