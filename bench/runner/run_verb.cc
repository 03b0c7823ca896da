// run: all jobs of a file are parsed, then run one after another.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <mutex>
#include <system_error>

#include "runner/job_file.h"
#include "runner/machine.h"
#include "runner/results_file.h"
#include "runner/timing.h"
#include "runner/verb.h"
#include "shoal/version.h"

namespace shoal::bench {
namespace {

struct RunArguments {
  std::string input_file, output_file;
  std::vector<std::string> search_directories;
  bool dry_run = false, allow_debug = false;
};

// What a person reads when a signal ends the run. The file is right already (results_file.h), so
// there is nothing else to do, and nothing here that a signal handler may not.
char g_farewell[512] = "shoal-bench: interrupted\n";

extern "C" void OnSignal(int signal) {
  [[maybe_unused]] const ssize_t ignored =
      write(STDERR_FILENO, g_farewell, std::strlen(g_farewell));
  _exit(128 + signal);
}

void AnnounceInterruption(const ResultsFile& results, size_t finished) {
  const std::string line = fmt::format("shoal-bench: interrupted; jobs that {} keeps: {}\n",
                                       results.path().string(), finished);
  std::strncpy(g_farewell, line.c_str(), sizeof(g_farewell) - 1);
  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
}

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

// One job from its beginning to its end, with the results file kept.
class OneRun {
 public:
  OneRun(const JobFile& jobs, size_t i, ResultsFile& results)
      : entry_(jobs.entries[i]),
        label_(fmt::format("[{}/{} {}]", i + 1, jobs.entries.size(), entry_.name)),
        results_(results),
        run_({{"type", entry_.type->name()}, {"name", entry_.name}, {"input", entry_.input}}) {
    context_.output_directory = jobs.output_directory;
    context_.find_input = jobs.find_input;
    context_.say = [this](std::string_view line) { Say(line); };
    context_.warn = [this](const std::string& text) { Warn(text); };
    context_.violated = [this](const std::string& text) { Violated(text); };
    context_.checkpoint = [this](const Json& sections) { Checkpoint(sections); };
  }

  // False: the run has failed. An error: the file cannot be written.
  Expected<bool> Run() {
    run_["started"] = UtcNow();
    if (auto written = results_.Begin(run_); !written) return tl::unexpected(written.error());
    Say(fmt::format("started: {}", entry_.type->summary()));
    const Stopwatch watch;
    const Expected<Json> sections = Guarded();
    const Stretch stretch = watch.Read();
    const std::lock_guard lock(mutex_);
    if (!sections) violations_.push_back(sections.error());
    run_["status"] = violations_.empty() ? "finished" : "failed";
    if (!violations_.empty()) run_["error"] = fmt::format("{}", fmt::join(violations_, "; "));
    run_["seconds"] = stretch.seconds;
    run_["others_cores"] = stretch.others_cores;
    run_["stolen"] = stretch.stolen;
    run_["warnings"] = warnings_;
    run_["results"] = sections ? *sections : Json::object();
    if (auto written = results_.Update(run_); !written) return tl::unexpected(written.error());
    fmt::print(stderr, "{} {} after {:.1f} s{}\n", label_, run_["status"].get<std::string>(),
               stretch.seconds, violations_.empty() ? "" : ": " + run_["error"].get<std::string>());
    return violations_.empty();
  }

 private:
  // A job that throws must not take the others with it.
  Expected<Json> Guarded() {
    try {
      return entry_.job->Run(context_);
    } catch (const std::exception& error) {
      return tl::unexpected(fmt::format("the job threw: {}", error.what()));
    }
  }

  void Say(std::string_view line) { fmt::print(stderr, "{} {}\n", label_, line); }
  void Warn(const std::string& text) {
    const std::lock_guard lock(mutex_);
    Say("warning: " + text);
    warnings_.push_back(text);
  }
  void Violated(const std::string& text) {
    const std::lock_guard lock(mutex_);
    violations_.push_back(text);
  }
  void Checkpoint(const Json& sections) {
    const std::lock_guard lock(mutex_);
    Json so_far = run_;
    so_far["status"] = "interrupted";
    so_far["warnings"] = warnings_;
    so_far["results"] = sections;
    if (auto written = results_.Update(so_far); !written)
      fmt::print(stderr, "{} checkpoint: {}\n", label_, written.error());
  }

  const JobFile::Entry& entry_;
  const std::string label_;
  ResultsFile& results_;
  JobContext context_;

  std::mutex mutex_;  // Guards what follows.
  Json run_;
  std::vector<std::string> warnings_, violations_;
};

// All jobs. True: none has failed.
Expected<bool> RunAll(const JobFile& jobs, const std::string& output_file) {
  std::error_code failed;
  std::filesystem::create_directories(jobs.output_directory, failed);
  if (failed)
    return tl::unexpected(fmt::format("output_directory: expected a folder, found \"{}\": {}",
                                      jobs.output_directory.string(), failed.message()));
  Expected<ResultsFile> results = ResultsFile::Create(output_file, CommandLine());
  if (!results) return tl::unexpected(results.error());
  if (!IsaNote().empty()) fmt::print(stderr, "shoal-bench: {}\n", IsaNote());
  bool all_well = true;
  for (size_t i = 0; i < jobs.entries.size(); ++i) {
    AnnounceInterruption(*results, i);
    const Expected<bool> well = OneRun(jobs, i, *results).Run();
    if (!well) return well;
    all_well = all_well && *well;
  }
  return all_well;
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
  if (!args.dry_run) return RunAll(*jobs, args.output_file);
  for (const JobFile::Entry& entry : jobs->entries)
    fmt::print("{}: {}\n{}\n", entry.name, entry.type->name(), entry.input.dump(2));
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
