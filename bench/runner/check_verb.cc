// check: whether a run says what an earlier one said, as far as tolerances ask.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "runner/compare.h"
#include "runner/results_file.h"
#include "runner/tolerances.h"
#include "runner/verb.h"

namespace shoal::bench {
namespace {

struct CheckArguments {
  std::string tolerances, input_file, before, after, output_file;
};

// What became of one job.
struct Verdict {
  std::string status;  // "PASS", "FAIL", "ERROR"
  std::string name;
  std::string error;  // Why there is nothing to compare.
  std::vector<Difference> differences;
};

// The jobs of a file, not parsed: a check needs none of their data.
Expected<Json> ReadJobs(const std::string& path) {
  Expected<Json> json = ReadJson(path);
  if (!json) return json;
  FieldReader file(*json, path + ": ");
  const Json jobs = file.Any("jobs");
  if (!jobs.is_array() || jobs.empty()) {
    file.Fail("jobs", "a list of objects, one or more", Describe(jobs));
    return tl::unexpected(file.Finish().error());
  }
  return jobs;
}

// The run of a job, or why it is not fit to be compared.
Expected<Json> RunOf(const Json& results, const std::string& file, size_t i, const Json& job) {
  const auto refuse = [&](std::string_view what, std::string_view expected,
                          std::string_view found) -> Expected<Json> {
    return tl::unexpected(
        fmt::format("{}: runs[{}]{}: expected {}, found {}", file, i, what, expected, found));
  };
  const Json& runs = results.at("runs");
  if (i >= runs.size()) return refuse("", "a run of the job", "none");
  const Json& run = runs[i];
  const std::string type = job.value("type", ""), found = run.value("type", "");
  if (type != found) return refuse(".type", type, found);
  const std::string lack =
      FirstLack(run.value("input", Json::object()), job.value("content", Json::object()));
  if (!lack.empty()) return refuse(".input." + lack, "what the job says", "something else");
  const std::string status = run.value("status", "");
  if (status != "finished") return refuse(".status", "finished", status);
  return run;
}

Verdict Judge(const Json& jobs, size_t i, const Check& check, const CheckArguments& args,
              const Json& before, const Json& after) {
  Verdict verdict;
  const Expected<Json> old_run = RunOf(before, args.before, i, jobs[i]);
  const Expected<Json> new_run = RunOf(after, args.after, i, jobs[i]);
  verdict.name = fmt::format("jobs[{}] {}", i, jobs[i].value("name", jobs[i].value("type", "")));
  if (!old_run || !new_run) {
    verdict.status = "ERROR";
    verdict.error = old_run ? new_run.error() : old_run.error();
    return verdict;
  }
  verdict.differences = Compare(old_run->at("results"), new_run->at("results"), check.rules);
  verdict.status = verdict.differences.empty() ? "PASS" : "FAIL";
  return verdict;
}

Json ToJson(const std::vector<Verdict>& verdicts) {
  Json checks = Json::array();
  for (const Verdict& verdict : verdicts) {
    Json differences = Json::array();
    for (const Difference& d : verdict.differences)
      differences.push_back(
          {{"field", d.path}, {"before", d.before}, {"after", d.after}, {"remark", d.remark}});
    checks.push_back({{"job", verdict.name},
                      {"status", verdict.status},
                      {"error", verdict.error},
                      {"differences", differences}});
  }
  return {{"schema", "shoal-bench-verdicts"}, {"version", 1}, {"checks", checks}};
}

// All lines, then one table of all differences. True: everything has passed.
bool Print(const std::vector<Verdict>& verdicts) {
  std::vector<Difference> all;
  bool passed = true;
  for (const Verdict& verdict : verdicts) {
    fmt::print("{:<5} {}{}{}\n", verdict.status, verdict.name, verdict.error.empty() ? "" : ": ",
               verdict.error);
    passed = passed && verdict.status == "PASS";
    for (Difference d : verdict.differences) {
      d.path = verdict.name + " " + d.path;
      all.push_back(std::move(d));
    }
  }
  if (!all.empty()) fmt::print("\n{}", DifferenceTable(all));
  return passed;
}

// The job file's jobs and the check of each, or the first mistake in the two files.
struct Assignment {  // NOLINT(bugprone-exception-escape): nlohmann's moves throw nothing.
  std::vector<Check> checks;
  Json jobs;
  std::vector<const Check*> of_job;
};
Expected<Assignment> Assign(const CheckArguments& args) {
  Assignment assignment;
  Expected<std::vector<Check>> checks = ReadTolerances(args.tolerances);
  if (!checks) return tl::unexpected(checks.error());
  assignment.checks = std::move(*checks);
  Expected<Json> jobs = ReadJobs(args.input_file);
  if (!jobs) return tl::unexpected(jobs.error());
  assignment.jobs = std::move(*jobs);
  Expected<std::vector<const Check*>> assigned = AssignChecks(assignment.checks, assignment.jobs);
  if (!assigned)
    return tl::unexpected(
        fmt::format("{}, {}: {}", args.tolerances, args.input_file, assigned.error()));
  assignment.of_job = std::move(*assigned);
  return assignment;
}

Expected<bool> Verify(const CheckArguments& args) {
  const Expected<Assignment> assigned = Assign(args);
  if (!assigned) return tl::unexpected(assigned.error());
  for (size_t i = 0; i < assigned->jobs.size(); ++i)
    fmt::print("jobs[{}]: {}, {}\n", i, assigned->of_job[i]->path, assigned->of_job[i]->type->name);
  return true;
}

Expected<bool> Run(const CheckArguments& args) {
  const Expected<Assignment> assigned = Assign(args);
  if (!assigned) return tl::unexpected(assigned.error());
  const Expected<Json> before = ReadResults(args.before);
  if (!before) return tl::unexpected(before.error());
  const Expected<Json> after = ReadResults(args.after);
  if (!after) return tl::unexpected(after.error());
  std::vector<Verdict> verdicts;
  for (size_t i = 0; i < assigned->jobs.size(); ++i)
    verdicts.push_back(Judge(assigned->jobs, i, *assigned->of_job[i], args, *before, *after));
  const bool passed = Print(verdicts);
  if (args.output_file.empty()) return passed;
  if (auto written = WriteJson(args.output_file, ToJson(verdicts)); !written)
    return tl::unexpected(written.error());
  return passed;
}

int Status(const Expected<bool>& well) {
  if (!well) fmt::print(stderr, "shoal-bench: {}\n", well.error());
  return well && *well ? 0 : 1;
}

// `check tolerances`, and with a name an example of one.
bool PrintTolerances(const std::string& name) {
  const ToleranceType* type = FindToleranceType(name);
  if (type != nullptr) {
    const Json example = {{"type", type->name}, {"content", type->skeleton()}};
    fmt::print("{}\n", example.dump(2));
  } else if (name.empty()) {
    for (const ToleranceType& each : ToleranceTypes())
      fmt::print("{:<16} {}\n", each.name, each.summary);
  } else {
    fmt::print(stderr,
               "shoal-bench: tolerance: expected a name that `check tolerances` lists, "
               "found \"{}\"\n",
               name);
  }
  return type != nullptr || name.empty();
}

void AddFiles(CLI::App& app, CheckArguments& args) {
  app.add_option("--tolerances", args.tolerances, "which job may differ by how much, JSON")
      ->required();
  app.add_option("--input-file", args.input_file, "the jobs, JSON")->required();
}

}  // namespace

void AddCheck(CLI::App& app, int& status) {
  static CheckArguments args;
  static std::string name;
  app.require_subcommand(1);
  app.add_subcommand("skeleton", "print an empty tolerance file")->callback([] {
    fmt::print("{}\n", SkeletonTolerances().dump(2));
  });
  CLI::App* tolerances = app.add_subcommand("tolerances", "list the kinds of tolerance");
  tolerances->add_option("NAME", name, "print an example of this one");
  tolerances->callback([&status] { status = PrintTolerances(name) ? 0 : 1; });
  CLI::App* verify = app.add_subcommand("verify", "check that every job has one tolerance");
  AddFiles(*verify, args);
  verify->callback([&status] { status = Status(Verify(args)); });
  CLI::App* run = app.add_subcommand("run", "compare two results");
  AddFiles(*run, args);
  run->add_option("--before", args.before, "the results that are right")->required();
  run->add_option("--after", args.after, "the results to judge")->required();
  run->add_option("--output-file", args.output_file, "the verdicts, JSON");
  run->callback([&status] { status = Status(Run(args)); });
}

}  // namespace shoal::bench
