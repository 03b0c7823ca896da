#include "runner/run_jobs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <exception>
#include <mutex>
#include <system_error>
#include <vector>

#include "runner/machine.h"
#include "runner/results_file.h"
#include "runner/timing.h"
#include "shoal/version.h"

namespace shoal::bench {
namespace {

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

// One job from its beginning to its end, with the results file kept.
class OneRun {
 public:
  OneRun(const JobFile& jobs, size_t i, ResultsFile& results)
      : entry_(jobs.entries[i]),
        label_(fmt::format("[{}/{} {}]", i + 1, jobs.entries.size(), entry_.name)),
        results_(results),
        run_({{"type", entry_.type->name}, {"name", entry_.name}, {"input", entry_.input}}) {
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
    Say(fmt::format("started: {}", entry_.type->summary));
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

}  // namespace

Expected<bool> RunJobs(const JobFile& jobs, const std::filesystem::path& output_file,
                       const std::string& command) {
  std::error_code failed;
  std::filesystem::create_directories(jobs.output_directory, failed);
  if (failed)
    return tl::unexpected(fmt::format("output_directory: expected a folder, found \"{}\": {}",
                                      jobs.output_directory.string(), failed.message()));
  Expected<ResultsFile> results = ResultsFile::Create(output_file, command);
  if (!results) return tl::unexpected(results.error());
  if (!IsaNote().empty()) fmt::print(stderr, "shoal-bench: {}\n", IsaNote());
  bool all_well = true;
  for (size_t i = 0; i < jobs.entries.size(); ++i) {
    AnnounceInterruption(*results, i);
    Expected<bool> well = OneRun(jobs, i, *results).Run();
    if (!well) return well;
    all_well = all_well && *well;
  }
  return all_well;
}

}  // namespace shoal::bench
