#include "runbook/runbook.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <span>

namespace shoal::bench {
namespace {

// 0xffffffff is no id: ground truth files mean "none" by it.
constexpr uint32_t kLargestEnd = 0xffffffffu;

constexpr std::string_view kNames[kOperations] = {"insert", "delete", "replace", "search"};

// What a step of each operation has beside `operation`: where the fields' values go.
struct FieldOf {
  std::string_view name;
  IdRange Step::*range;
  uint32_t IdRange::*end;
};
constexpr FieldOf kRange[] = {{"start", &Step::points, &IdRange::begin},
                              {"end", &Step::points, &IdRange::end}};
constexpr FieldOf kReplace[] = {{"tags_start", &Step::points, &IdRange::begin},
                                {"tags_end", &Step::points, &IdRange::end},
                                {"ids_start", &Step::rows, &IdRange::begin},
                                {"ids_end", &Step::rows, &IdRange::end}};
// All of them or none.
constexpr FieldOf kQueries[] = {{"start", &Step::queries, &IdRange::begin},
                                {"end", &Step::queries, &IdRange::end}};

std::span<const FieldOf> FieldsOf(Operation operation) {
  switch (operation) {
    case Operation::kInsert:
    case Operation::kDelete: return kRange;
    case Operation::kReplace: return kReplace;
    case Operation::kSearch: return kQueries;
  }
  return {};
}

size_t LineOf(const YAML::Node& node) { return static_cast<size_t>(node.Mark().line) + 1; }

template <class T>
std::optional<T> Number(const std::string& text) {
  T value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

// How a node looks in a message.
std::string Shown(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Scalar: return "'" + node.Scalar() + "'";
    case YAML::NodeType::Sequence: return "a list";
    case YAML::NodeType::Map: return "a map";
    case YAML::NodeType::Null:
    case YAML::NodeType::Undefined: break;
  }
  return "nothing";
}

class Parser {
 public:
  explicit Parser(const std::filesystem::path& file) { runbook_.file = file; }

  Result<Runbook> Parse(std::string_view text, std::string_view dataset) {
    const YAML::Node root = YAML::Load(std::string(text));
    if (!root.IsMap() || root.size() == 0)
      return Wrong(root, "the file", "a map from data sets to runbooks", Shown(root));
    std::string names;
    for (const auto& entry : root) {
      const std::string name = entry.first.as<std::string>();
      if (name == dataset || (dataset.empty() && root.size() == 1)) {
        runbook_.dataset = name;
        if (auto ok = ReadSteps(entry.second); !ok) return tl::unexpected(ok.error());
        return std::move(runbook_);
      }
      names += (names.empty() ? "" : ", ") + name;
    }
    return Wrong(root, "data set", dataset.empty() ? "its name, there being several" : dataset,
                 names);
  }

 private:
  tl::unexpected<Error> Wrong(const YAML::Node& at, std::string_view field,
                              std::string_view expected, std::string_view found) const {
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("{}:{}: {}: expected {}, found {}", runbook_.file.string(),
                                 LineOf(at), field, expected, found));
  }

  Status ReadSteps(const YAML::Node& book) {
    if (!book.IsMap()) return Wrong(book, runbook_.dataset, "a map of steps", Shown(book));
    std::map<size_t, Step> steps;
    bool has_max_points = false;
    for (const auto& entry : book) {
      const std::string key = entry.first.as<std::string>();
      if (key == "max_pts") {
        const auto value = entry.second.IsScalar() ? Number<uint64_t>(entry.second.Scalar())
                                                   : std::optional<uint64_t>();
        if (!value) return Wrong(entry.second, key, "a number", Shown(entry.second));
        runbook_.max_points = *value;
        has_max_points = true;
      } else if (key == "gt_url") {
        if (entry.second.IsScalar()) runbook_.truth_url = entry.second.Scalar();
      } else if (const auto number = Number<size_t>(key); number && *number > 0) {
        auto step = ReadStep(*number, entry.first, entry.second);
        if (!step) return tl::unexpected(step.error());
        if (!steps.emplace(*number, *step).second)
          return Wrong(entry.first, "step " + key, "each number once", "it again");
      } else {
        return Wrong(entry.first, runbook_.dataset, "max_pts, gt_url or a step from 1 on",
                     "'" + key + "'");
      }
    }
    if (!has_max_points) return Wrong(book, runbook_.dataset, "max_pts", "none");
    for (auto& [number, step] : steps) {
      if (number != runbook_.steps.size() + 1) {
        return Wrong(book, runbook_.dataset, fmt::format("step {}", runbook_.steps.size() + 1),
                     fmt::format("step {} next", number));
      }
      runbook_.steps.push_back(step);
    }
    if (runbook_.steps.empty()) return Wrong(book, runbook_.dataset, "steps from 1 on", "none");
    return {};
  }

  // Nodes are never assigned: in yaml-cpp that changes the node that was there, for everybody.
  using Fields = std::vector<std::pair<std::string, YAML::Node>>;

  // The fields of a step of either shape.
  Result<Fields> ReadFields(size_t number, const YAML::Node& at, const YAML::Node& node) const {
    Fields fields;
    const auto add = [&](const YAML::Node& map) {
      for (const auto& entry : map)
        fields.emplace_back(entry.first.as<std::string>(), entry.second);
    };
    if (node.IsMap()) {
      add(node);
    } else if (node.IsSequence()) {
      for (const auto& item : node) {
        if (!item.IsMap())
          return Wrong(item, fmt::format("step {}", number), "maps of one key", Shown(item));
        add(item);
      }
    } else {
      return Wrong(at, fmt::format("step {}", number), "a map, or a list of maps", Shown(node));
    }
    std::set<std::string> seen;
    for (const auto& [name, value] : fields) {
      if (!seen.insert(name).second)
        return Wrong(value, fmt::format("step {}: {}", number, name), "it once", "it again");
    }
    return fields;
  }

  Result<Step> ReadStep(size_t number, const YAML::Node& at, const YAML::Node& node) const {
    auto fields = ReadFields(number, at, node);
    if (!fields) return tl::unexpected(fields.error());
    Step step;
    step.number = number;
    step.line = LineOf(at);
    const auto operation = std::find_if(fields->begin(), fields->end(),
                                        [](const auto& f) { return f.first == "operation"; });
    if (operation == fields->end())
      return Wrong(at, fmt::format("step {}", number), "operation", "none");
    const YAML::Node& word = operation->second;
    const auto* const name =
        std::find(std::begin(kNames), std::end(kNames), word.IsScalar() ? word.Scalar() : "");
    if (name == std::end(kNames)) {
      return Wrong(word, fmt::format("step {}: operation", number),
                   "insert, delete, replace or search", Shown(word));
    }
    step.operation = static_cast<Operation>(name - std::begin(kNames));
    if (auto ok = ReadRanges(step, at, *fields); !ok) return tl::unexpected(ok.error());
    return step;
  }

  Status ReadRanges(Step& step, const YAML::Node& at, const Fields& fields) const {
    const auto where = [&](std::string_view field) {
      return fmt::format("step {}: {}", step.number, field);
    };
    const auto known = FieldsOf(step.operation);
    for (const auto& [name, value] : fields) {
      if (name == "operation") continue;
      const auto it = std::find_if(known.begin(), known.end(),
                                   [&](const FieldOf& field) { return field.name == name; });
      if (it == known.end())
        return Wrong(value, where(name), "no such field in a " + Word(step.operation), "it");
      const auto number =
          value.IsScalar() ? Number<uint32_t>(value.Scalar()) : std::optional<uint32_t>();
      if (!number)
        return Wrong(value, where(name), fmt::format("0 to {}", kLargestEnd), Shown(value));
      step.*(it->range).*(it->end) = *number;
    }
    if (step.operation == Operation::kSearch && fields.size() == 1) return {};
    for (const FieldOf& field : known) {
      if (std::none_of(fields.begin(), fields.end(),
                       [&](const auto& f) { return f.first == field.name; }))
        return Wrong(at, where(field.name), "a number", "none");
    }
    if (step.operation == Operation::kInsert) step.rows = step.points;
    if (step.operation == Operation::kSearch && step.queries.begin == step.queries.end) {
      return Wrong(at, where("end"), fmt::format("more than the start, {}", step.queries.begin),
                   std::to_string(step.queries.end));
    }
    for (const IdRange& range : {step.points, step.rows, step.queries}) {
      if (range.begin > range.end) {
        return Wrong(at, where("end"), fmt::format("at least the start, {}", range.begin),
                     std::to_string(range.end));
      }
    }
    if (step.operation == Operation::kReplace && step.points.size() != step.rows.size()) {
      return Wrong(at, where("ids"), fmt::format("as many as tags, {}", step.points.size()),
                   std::to_string(step.rows.size()));
    }
    return {};
  }

  static std::string Word(Operation operation) { return std::string(OperationName(operation)); }

  Runbook runbook_;
};

}  // namespace

std::string_view OperationName(Operation operation) {
  return kNames[static_cast<size_t>(operation)];
}

Result<Runbook> ParseRunbook(std::string_view text, const std::filesystem::path& file,
                             std::string_view dataset) {
  try {
    return Parser(file).Parse(text, dataset);
  } catch (const YAML::Exception& e) {
    return MakeError(ErrorCode::kCorrupt, fmt::format("{}:{}: expected YAML, found: {}",
                                                      file.string(), e.mark.line + 1, e.msg));
  }
}

Result<Runbook> ReadRunbook(const std::filesystem::path& file, std::string_view dataset) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    return MakeError(ErrorCode::kFileNotFound,
                     fmt::format("{}: expected a readable runbook, found none", file.string()));
  }
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) return MakeError(ErrorCode::kIo, fmt::format("{}: cannot read", file.string()));
  return ParseRunbook(text, file, dataset);
}

std::string RunbookText(const Runbook& runbook, const std::vector<std::string>& comments) {
  std::string text;
  auto out = std::back_inserter(text);
  for (const std::string& comment : comments) fmt::format_to(out, "# {}\n", comment);
  fmt::format_to(out, "{}:\n  max_pts: {}\n", runbook.dataset, runbook.max_points);
  for (const Step& step : runbook.steps) {
    fmt::format_to(out, "  {}: {{operation: \"{}\"", step.number, OperationName(step.operation));
    const bool asks_all = step.operation == Operation::kSearch && step.queries.size() == 0;
    for (const FieldOf& field : FieldsOf(step.operation))
      if (!asks_all) fmt::format_to(out, ", {}: {}", field.name, step.*(field.range).*(field.end));
    text += "}\n";
  }
  if (!runbook.truth_url.empty()) fmt::format_to(out, "  gt_url: \"{}\"\n", runbook.truth_url);
  return text;
}

std::string Where(const Runbook& runbook, const Step& step) {
  const std::string place = runbook.file.empty()
                                ? std::string()
                                : fmt::format("{}:{}: ", runbook.file.string(), step.line);
  return fmt::format("{}step {}", place, step.number);
}

}  // namespace shoal::bench
