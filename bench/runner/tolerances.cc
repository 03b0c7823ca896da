#include "runner/tolerances.h"

#include <fmt/format.h>

#include "runner/job.h"

namespace shoal::bench {
namespace {

Json NoContent() { return Json::object(); }
std::vector<FieldRule> NoRules(FieldReader& /*content*/) { return {}; }

Json FieldsSkeleton() {
  return {{"fields",
           {{{"field", "builds/*/seconds"}, {"relative", 0.1}, {"better", "lower"}},
            {{"field", "curves/*/points/*/qps"}, {"relative", 0.1}, {"better", "higher"}},
            {{"field", "curves/*/points/*/recall"}, {"absolute", 0.01}, {"better", "higher"}},
            {{"field", "**/p999_us"}, {"ignore", true}}}}};
}

FieldRule ParseRule(FieldReader& rule) {
  FieldRule parsed;
  parsed.field = rule.Text("field");
  parsed.relative = rule.Number("relative", {.least = 0, .most = 100}, 0);
  parsed.absolute = rule.Number("absolute", {.least = 0}, 0);
  const std::string better = rule.OneOf("better", {"neither", "higher", "lower"}, "neither");
  parsed.better = better == "higher"  ? FieldRule::Better::kHigher
                  : better == "lower" ? FieldRule::Better::kLower
                                      : FieldRule::Better::kNeither;
  parsed.ignore = rule.Flag("ignore", false);
  return parsed;
}

std::vector<FieldRule> FieldRules(FieldReader& content) {
  std::vector<FieldRule> rules;
  content.Objects("fields", [&](FieldReader& rule) { rules.push_back(ParseRule(rule)); });
  return rules;
}

constexpr ToleranceType kTypes[] = {
    {"empty-tolerance", "every field is equal, integers and fractions to the digit", NoContent,
     NoRules},
    {"field-tolerance", "fields may differ by as much as their rules allow; all others are equal",
     FieldsSkeleton, FieldRules},
};

Check ParseCheck(FieldReader& check, std::string path) {
  Check parsed;
  parsed.path = std::move(path);
  check.Object("input", [&](FieldReader& input) {
    std::vector<std::string_view> names;
    for (const JobType* type : JobTypes()) names.push_back(type->name);
    input.OneOf("type", names);
    if (input.Has("name")) input.Text("name");
    if (const Json content = input.Any("content"); !content.is_object() && !content.is_null())
      input.Fail("content", "an object", Describe(content));
    parsed.input = input.understood();
    if (parsed.input["content"].is_null()) parsed.input.erase("content");
  });
  check.Object("tolerance", [&](FieldReader& tolerance) {
    std::vector<std::string_view> names;
    for (const ToleranceType& type : kTypes) names.push_back(type.name);
    parsed.type = FindToleranceType(tolerance.OneOf("type", names));
    if (!tolerance.ok()) return;
    tolerance.OptionalObject(
        "content", [&](FieldReader& content) { parsed.rules = parsed.type->parse(content); });
  });
  return parsed;
}

}  // namespace

std::span<const ToleranceType> ToleranceTypes() { return kTypes; }

const ToleranceType* FindToleranceType(std::string_view name) {
  for (const ToleranceType& type : kTypes)
    if (type.name == name) return &type;
  return nullptr;
}

Json SkeletonTolerances() { return {{"checks", Json::array()}}; }

Expected<std::vector<Check>> ReadTolerances(const std::filesystem::path& path) {
  const Expected<Json> json = ReadJson(path);
  if (!json) return tl::unexpected(json.error());
  FieldReader file(*json, path.string() + ": ");
  std::vector<Check> checks;
  file.Objects("checks", [&](FieldReader& check) {
    checks.push_back(ParseCheck(check, fmt::format("checks[{}]", checks.size())));
  });
  if (const Expected<void> fine = file.Finish(); !fine) return tl::unexpected(fine.error());
  return checks;
}

std::string FirstLack(const Json& json, const Json& subset) {
  for (const auto& [key, value] : subset.items()) {
    const auto found = json.find(key);
    if (found == json.end()) return key;
    if (!value.is_object() || !found->is_object()) {
      if (*found != value) return key;
      continue;
    }
    if (const std::string lack = FirstLack(*found, value); !lack.empty())
      return fmt::format("{}.{}", key, lack);
  }
  return "";
}

bool Contains(const Json& json, const Json& subset) { return FirstLack(json, subset).empty(); }

Expected<std::vector<const Check*>> AssignChecks(const std::vector<Check>& checks,
                                                 const Json& jobs) {
  std::vector<const Check*> assigned;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const Check* found = nullptr;
    for (const Check& check : checks) {
      if (!Contains(jobs[i], check.input)) continue;
      if (found != nullptr)
        return tl::unexpected(fmt::format("jobs[{}]: expected one check for it, found {} and {}", i,
                                          found->path, check.path));
      found = &check;
    }
    if (found == nullptr)
      return tl::unexpected(fmt::format("jobs[{}]: expected a check for it, found none", i));
    assigned.push_back(found);
  }
  for (const Check& check : checks)
    if (std::find(assigned.begin(), assigned.end(), &check) == assigned.end())
      return tl::unexpected(
          fmt::format("{}: expected a job that contains its input, found none", check.path));
  return assigned;
}

}  // namespace shoal::bench
