// A tolerance file: how far the results of which jobs may be apart.
//
//   { "checks": [ { "input": {"type": "index", "content": {"metric": "l2"}},
//                   "tolerance": {"type": "field-tolerance", "content": {"fields": [
//                     {"field": "builds/*/seconds", "relative": 0.1, "better": "lower"}]}} } ] }
//
// A check holds for every job that contains its `input`. Every job must have exactly one check, and
// every check at least one job.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runner/compare.h"
#include "runner/field_reader.h"
#include "runner/json.h"

namespace shoal::bench {

// A kind of tolerance: a row of the table in tolerances.cc.
struct ToleranceType {
  std::string_view name;
  std::string_view summary;
  Json (*skeleton)();
  std::vector<FieldRule> (*parse)(FieldReader& content);
};
std::span<const ToleranceType> ToleranceTypes();
const ToleranceType* FindToleranceType(std::string_view name);

struct Check {       // NOLINT(bugprone-exception-escape): nlohmann's moves throw nothing.
  std::string path;  // "checks[0]", for messages.
  Json input;        // The subset that a job must contain.
  const ToleranceType* type = nullptr;
  std::vector<FieldRule> rules;
};

Expected<std::vector<Check>> ReadTolerances(const std::filesystem::path& path);
// {"checks": []}
Json SkeletonTolerances();

// For each of the jobs (as they stand in a job file) the check that holds for it.
Expected<std::vector<const Check*>> AssignChecks(const std::vector<Check>& checks,
                                                 const Json& jobs);

// Whether `json` has everything that `subset` has: objects key by key, all else by value.
bool Contains(const Json& json, const Json& subset);
// Empty if so, else the first thing it lacks: "content.data.rows".
std::string FirstLack(const Json& json, const Json& subset);

}  // namespace shoal::bench
