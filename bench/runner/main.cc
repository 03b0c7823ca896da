// shoal-bench: jobs in, results and verdicts out. docs/results.md describes both files.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>

#include "runner/verb.h"
#include "shoal/version.h"

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
    {"generate-data", "write a set of vectors that is made, with queries and truth",
     AddGenerateData},
    {"generate-runbook", "write a runbook of the streaming track", AddGenerateRunbook},
    {"check", "compare two results under tolerances", AddCheck},
    {"database-peer", "a process of the job \"database\"", AddDatabasePeer},
};

// "shoal-bench (shoal 0.1.0, avx3_dl)", and a line why not the instruction set that SHOAL_ISA
// names.
std::string VersionLine() {
  const std::string line = fmt::format("shoal-bench (shoal {}, {})", Version(), ActiveIsa());
  return IsaNote().empty() ? line : fmt::format("{}\n{}", line, IsaNote());
}

}  // namespace
}  // namespace shoal::bench

// CLI11 throws on mistakes of ours only, in which case to end is right.
int main(int argc, char** argv) {  // NOLINT(bugprone-exception-escape): throws on our bugs only.
  CLI::App app("Measures shoal: jobs in, results and verdicts out.", "shoal-bench");
  app.set_version_flag("--version", shoal::bench::VersionLine(),
                       "print shoal's version and the ISA");
  app.require_subcommand(1);
  int status = 0;
  for (const auto& verb : shoal::bench::kVerbs)
    verb.add(*app.add_subcommand(verb.name, verb.summary), status);
  CLI11_PARSE(app, argc, argv);
  return status;
}
