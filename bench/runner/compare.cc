#include "runner/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace shoal::bench {
namespace {

// "a/b/c" to "a" and "b/c".
std::pair<std::string_view, std::string_view> Step(std::string_view path) {
  const size_t slash = path.find('/');
  if (slash == std::string_view::npos) return {path, {}};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

bool IsNumbers(const Json& json) {
  return json.is_array() && !json.empty() &&
         std::all_of(json.begin(), json.end(), [](const Json& one) { return one.is_number(); });
}

double Median(const Json& samples) {
  auto values = samples.get<std::vector<double>>();
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::string Change(double before, double after) {
  if (before == 0) return fmt::format("{:+g}", after - before);
  return fmt::format("{:+.3g} %", 100 * (after - before) / std::abs(before));
}

class Comparison {
 public:
  explicit Comparison(const std::vector<FieldRule>& rules) : rules_(rules) {}

  void Walk(const std::string& path, const Json* before, const Json* after) {
    const FieldRule* rule = RuleOf(path);
    if (rule != nullptr && rule->ignore) return;
    if (before == nullptr || after == nullptr) return Note(path, before, after, "");
    if (rule != nullptr && IsNumbers(*before) && IsNumbers(*after))
      return WithinRule(path, *before, *after, Median(*before), Median(*after), *rule);
    if (before->is_number() && after->is_number()) return Numbers(path, *before, *after, rule);
    if (before->is_object() && after->is_object()) return Objects(path, *before, *after);
    // A list of scalars is one value to a reader: an exact fraction, a row of ids.
    if (IsNumbers(*before) && IsNumbers(*after) && !AnyRuleBelow(path, *before)) {
      if (*before != *after) Note(path, before, after, "");
      return;
    }
    if (before->is_array() && after->is_array()) return Lists(path, *before, *after);
    if (*before != *after) Note(path, before, after, "");
  }

  std::vector<Difference> differences;

 private:
  static std::string Below(const std::string& path, std::string_view step) {
    return path.empty() ? std::string(step) : fmt::format("{}/{}", path, step);
  }

  const FieldRule* RuleOf(std::string_view path) const {
    for (const FieldRule& rule : rules_)
      if (Matches(rule.field, path)) return &rule;
    return nullptr;
  }

  bool AnyRuleBelow(const std::string& path, const Json& list) const {
    for (size_t i = 0; i < list.size(); ++i)
      if (RuleOf(Below(path, std::to_string(i))) != nullptr) return true;
    return false;
  }

  void Note(const std::string& path, const Json* before, const Json* after, std::string remark) {
    const auto text = [](const Json* json) {
      return json == nullptr ? "nothing" : Describe(*json);
    };
    differences.push_back({path, text(before), text(after), std::move(remark)});
  }

  void Numbers(const std::string& path, const Json& before, const Json& after,
               const FieldRule* rule) {
    if (rule != nullptr)
      return WithinRule(path, before, after, before.get<double>(), after.get<double>(), *rule);
    if (before != after)
      Note(path, &before, &after, Change(before.get<double>(), after.get<double>()));
  }

  void WithinRule(const std::string& path, const Json& before_json, const Json& after_json,
                  double before, double after, const FieldRule& rule) {
    const double allowed = std::max(rule.absolute, rule.relative * std::abs(before));
    const double change = after - before;
    if (rule.better == FieldRule::Better::kHigher && change >= 0) return;
    if (rule.better == FieldRule::Better::kLower && change <= 0) return;
    if (std::abs(change) <= allowed) return;
    Note(path, &before_json, &after_json,
         fmt::format("{}, allowed {:g}", Change(before, after), allowed));
  }

  void Objects(const std::string& path, const Json& before, const Json& after) {
    for (const auto& [key, value] : before.items()) {
      const auto other = after.find(key);
      Walk(Below(path, key), &value, other == after.end() ? nullptr : &*other);
    }
    for (const auto& [key, value] : after.items())
      if (!before.contains(key)) Walk(Below(path, key), nullptr, &value);
  }

  void Lists(const std::string& path, const Json& before, const Json& after) {
    for (size_t i = 0; i < std::max(before.size(), after.size()); ++i)
      Walk(Below(path, std::to_string(i)), i < before.size() ? &before[i] : nullptr,
           i < after.size() ? &after[i] : nullptr);
  }

  const std::vector<FieldRule>& rules_;
};

}  // namespace

bool Matches(std::string_view field, std::string_view path) {
  if (field.empty() || path.empty()) return field.empty() && path.empty();
  const auto [want, wants] = Step(field);
  const auto [have, haves] = Step(path);
  if (want == "**") {
    if (wants.empty() || Matches(wants, path)) return true;
    return Matches(field, haves);
  }
  return (want == "*" || want == have) && Matches(wants, haves);
}

std::vector<Difference> Compare(const Json& before, const Json& after,
                                const std::vector<FieldRule>& rules) {
  Comparison comparison(rules);
  comparison.Walk("", &before, &after);
  return std::move(comparison.differences);
}

std::string DifferenceTable(const std::vector<Difference>& differences, std::string_view before,
                            std::string_view after) {
  using Row = std::array<std::string, 4>;
  std::vector<Row> rows = {{"field", std::string(before), std::string(after), "remark"}};
  for (const Difference& d : differences) rows.push_back({d.path, d.before, d.after, d.remark});
  std::array<size_t, 4> widths{};
  for (const Row& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string table;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    table += line + "\n";
    if (&row == &rows.front())
      table += std::string(widths[0] + widths[1] + widths[2] + widths[3] + 6, '-') + "\n";
  }
  return table;
}

}  // namespace shoal::bench
