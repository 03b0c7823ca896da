// Two results side by side: every difference that no rule allows, in one table.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runner/json.h"

namespace shoal::bench {

// What may differ. `field`: a path below `results`, its steps separated by slashes; `*` stands for
// any one step, `**` for any number of them: "curves/*/points/*/qps".
struct FieldRule {
  // Which way a field may go however far. kNeither: neither way.
  enum class Better { kNeither, kHigher, kLower };

  std::string field;
  // How far it may go: the larger of the two, in the field's unit, and as a share of the value
  // before.
  double absolute = 0;
  double relative = 0;
  Better better = Better::kNeither;
  // The field is not looked at.
  bool ignore = false;
};

struct Difference {
  std::string path;    // Below what was compared: "curves/0/points/2/recall".
  std::string before;  // "nothing" where it is not there.
  std::string after;
  std::string remark;  // How far apart, or what was allowed.
};

// The differences of `after` from `before`. The first rule whose field matches decides; what no
// rule matches must be equal, integers and fractions to the digit. A rule that matches a list of
// numbers (samples) compares their medians.
std::vector<Difference> Compare(const Json& before, const Json& after,
                                const std::vector<FieldRule>& rules);

// All of them under a heading, columns aligned. `before`, `after`: the columns' names.
std::string DifferenceTable(const std::vector<Difference>& differences,
                            std::string_view before = "before", std::string_view after = "after");

// Whether a path matches a rule's field.
bool Matches(std::string_view field, std::string_view path);

}  // namespace shoal::bench
