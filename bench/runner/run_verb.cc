// run: all jobs of a file are parsed, then run one after another.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "runner/job_file.h"
#include "runner/machine.h"
#include "runner/run_jobs.h"
#include "runner/verb.h"

namespace shoal::bench {
namespace {

struct RunArguments {
  std::string input_file, output_file;
  std::vector<std::string> search_directories;
  bool dry_run = false, allow_debug = false;
};

std::string CommandLine() {
  std::ifstream file("/proc/self/cmdline");
  std::string words((std::istreambuf_iterator<char>(file)), {});
  while (!words.empty() && words.back() == '\0') words.pop_back();
  const size_t first = words.find('\0');
  const size_t folder = words.rfind('/', first);
  if (folder != std::string::npos) words.erase(0, folder + 1);
  std::replace(words.begin(), words.end(), '\0', ' ');
  return words;
}

Expected<bool> Run(const RunArguments& args) {
  const auto allowed =
      MayTime(ThisBuild(), args.allow_debug ? DebugBuilds::kAllow : DebugBuilds::kRefuse);
  if (!args.dry_run && !allowed) return tl::unexpected(allowed.error());
  JobFileOptions options;
  options.results = args.output_file;
  for (const std::string& folder : args.search_directories)
    options.search_directories.emplace_back(folder);
  const Expected<JobFile> jobs = LoadJobFile(args.input_file, options);
  if (!jobs) return tl::unexpected(jobs.error());
  if (!args.dry_run) return RunJobs(*jobs, args.output_file, CommandLine());
  for (const JobFile::Entry& entry : jobs->entries)
    fmt::print("{}: {}\n{}\n", entry.name, entry.type->name, entry.input.dump(2));
  return true;
}

}  // namespace

void AddRun(CLI::App& app, int& status) {
  static RunArguments args;
  app.add_option("--input-file", args.input_file, "the jobs, JSON")->required();
  app.add_option("--output-file", args.output_file, "the results, JSON; written after every job")
      ->required();
  app.add_option("--search-directory", args.search_directories,
                 "look for inputs here first; may be given several times")
      ->allow_extra_args(false);
  app.add_flag("--dry-run", args.dry_run, "check everything, print the jobs, run nothing");
  app.add_flag("--allow-debug", args.allow_debug, "run although this is no release build");
  app.callback([&status] {
    const Expected<bool> well = Run(args);
    if (!well) fmt::print(stderr, "shoal-bench: {}\n", well.error());
    status = well && *well ? 0 : 1;
  });
}

}  // namespace shoal::bench
