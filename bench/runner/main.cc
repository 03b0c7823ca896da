// shoal-bench: jobs in, results and verdicts out. docs/results.md describes both files.
#include <CLI/CLI.hpp>

#include "runbook/generate_verb.h"
#include "runner/verb.h"
#include "version.h"

namespace shoal::bench {
namespace {

struct Verb {
  const char* name;
  const char* summary;
  AddVerb add;
};

constexpr Verb kVerbs[] = {
    {"inputs", "list the types of jobs, or print an example of one", AddInputs},
    {"benchmarks", "list what this program can run", AddBenchmarks},
    {"machine", "print what results say of this machine and this build", AddMachine},
    {"skeleton", "print an empty job file", AddSkeleton},
    {"run", "run the jobs of a file", AddRun},
    {"generate-runbook", "write a runbook of the streaming track", AddGenerateRunbook},
    {"check", "compare two results under tolerances", AddCheck},
};

}  // namespace
}  // namespace shoal::bench

// CLI11 throws on mistakes of ours only, in which case to end is right.
int main(int argc, char** argv) {  // NOLINT(bugprone-exception-escape): throws on our bugs only.
  CLI::App app("Measures shoal: jobs in, results and verdicts out.", "shoal-bench");
  shoal::bench::AddVersion(app, "shoal-bench");
  app.require_subcommand(1);
  int status = 0;
  for (const auto& verb : shoal::bench::kVerbs)
    verb.add(*app.add_subcommand(verb.name, verb.summary), status);
  CLI11_PARSE(app, argc, argv);
  return status;
}
