// inputs, benchmarks, machine, skeleton: what there is.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "runner/job_file.h"
#include "runner/machine.h"
#include "runner/verb.h"

namespace shoal::bench {
namespace {

void Print(const Json& json) { fmt::print("{}\n", json.dump(2)); }

// The type of that name; else a line on stderr and null.
const JobType* Find(const std::string& name) {
  const JobType* type = FindJobType(name);
  if (type != nullptr) return type;
  std::vector<std::string_view> names;
  for (const JobType* each : JobTypes()) names.push_back(each->name);
  fmt::print(stderr, "shoal-bench: type: expected one of {}, found \"{}\"\n",
             fmt::join(names, ", "), name);
  return nullptr;
}

void PrintList() {
  size_t width = 0;
  for (const JobType* type : JobTypes()) width = std::max(width, type->name.size());
  for (const JobType* type : JobTypes())
    fmt::print("{:<{}}  {}\n", type->name, width, type->summary);
}

}  // namespace

void AddInputs(CLI::App& app, int& status) {
  static std::string name;
  static bool all = false;
  app.add_option("NAME", name, "print an example of a job of this type");
  app.add_flag("--all", all, "print an example of each");
  app.callback([&status] {
    if (all) {
      for (const JobType* type : JobTypes()) Print(ExampleJob(*type));
    } else if (name.empty()) {
      PrintList();
    } else if (const JobType* type = Find(name)) {
      Print(ExampleJob(*type));
    } else {
      status = 1;
    }
  });
}

void AddBenchmarks(CLI::App& app, int& /*status*/) { app.callback(PrintList); }

void AddMachine(CLI::App& app, int& /*status*/) {
  app.callback([] { Print(MachineFacts()); });
}

void AddSkeleton(CLI::App& app, int& status) {
  static std::vector<std::string> names;
  app.add_option("NAME", names, "put an example of a job of this type in");
  app.callback([&status] {
    std::vector<const JobType*> types;
    for (const std::string& name : names) {
      types.push_back(Find(name));
      if (types.back() == nullptr) return void(status = 1);
    }
    Print(SkeletonJobFile(types));
  });
}

}  // namespace shoal::bench
