#include "apps/shoal/lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

namespace shoal::apps {
namespace {

using Json = nlohmann::json;

tl::unexpected<Error> Invalid(std::string message) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message));
}

std::optional<double> NumberOf(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

tl::unexpected<Error> NoNumber(size_t element, std::string_view found) {
  return Invalid(fmt::format("element {}: expected a number, found {}", element, found));
}

// Appends the numbers of "1,2,3".
Status AppendNumbers(std::string_view text, std::vector<double>& values) {
  for (size_t begin = 0;;) {
    const size_t end = text.find(',', begin);
    const std::string_view field = Trimmed(text.substr(begin, end - begin));
    const auto value = NumberOf(field);
    if (!value) return NoNumber(values.size(), fmt::format("'{}'", field));
    values.push_back(*value);
    if (end == std::string_view::npos) return {};
    begin = end + 1;
  }
}

// Appends the number, or the list of them, that a field of CSV has.
Status AppendField(std::string_view field, std::vector<double>& values) {
  if (field.starts_with('[') && field.ends_with(']'))
    return AppendNumbers(field.substr(1, field.size() - 2), values);
  const auto value = NumberOf(field);
  if (!value) return NoNumber(values.size(), fmt::format("'{}'", field));
  values.push_back(*value);
  return {};
}

Status AppendJson(const Json& json, std::string_view name, std::vector<double>& values) {
  const auto append = [&](const Json& element) -> Status {
    if (!element.is_number()) return NoNumber(values.size(), element.dump());
    values.push_back(element.get<double>());
    return {};
  };
  if (!json.is_array() && !json.is_number())
    return Invalid(fmt::format("{}: expected an array", name));
  if (!json.is_array()) return append(json);
  values.reserve(values.size() + json.size());
  for (const Json& element : json)
    if (Status ok = append(element); !ok) return ok;
  return {};
}

Result<uint64_t> IdOfJson(const Json& json) {
  if (json.is_string()) return ParseId(json.get_ref<const std::string&>());
  if (json.is_number_unsigned()) return json.get<uint64_t>();
  return Invalid("id: expected a whole number from 0 to 2^64 - 1, found " + json.dump());
}

}  // namespace

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

Result<uint64_t> ParseId(std::string_view text) {
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    return Invalid(fmt::format("id: expected a whole number from 0 to 2^64 - 1, found '{}'", text));
  return id;
}

Result<std::vector<double>> ParseNumbers(std::string_view text) {
  text = Trimmed(text);
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  std::vector<double> values;
  if (Status ok = AppendNumbers(text, values); !ok) return tl::unexpected(ok.error());
  return values;
}

Result<Line> ParseJson(std::string_view text, const Columns& columns) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Invalid("expected JSON, found something else");
  Line line;
  if (!json.is_object()) {
    if (!json.is_array()) return Invalid("vector: expected an array");
    if (Status ok = AppendJson(json, "vector", line.values); !ok) return tl::unexpected(ok.error());
    return line;
  }
  const auto missing = [](const std::string& name) {
    return Invalid(name + ": expected a field of this name, found none");
  };
  const auto id = json.find(columns.id.empty() ? "id" : columns.id);
  if (id == json.end() && !columns.id.empty()) return missing(columns.id);
  if (id != json.end()) {
    const Result<uint64_t> parsed = IdOfJson(*id);
    if (!parsed) return tl::unexpected(parsed.error());
    line.id = *parsed;
  }
  const std::vector<std::string> standard = {"vector"};
  for (const std::string& name : columns.vector.empty() ? standard : columns.vector) {
    const auto found = json.find(name);
    if (found == json.end()) return missing(name);
    if (Status ok = AppendJson(*found, name, line.values); !ok) return tl::unexpected(ok.error());
  }
  return line;
}

CsvLines::CsvLines(const Columns& columns, bool has_ids) : columns_(columns) {
  if (has_ids) id_ = 0;
}

Result<std::vector<std::string>> CsvLines::FieldsOf(std::string_view line) const {
  std::vector<std::string> fields;
  for (size_t at = 0;;) {
    std::string& field = fields.emplace_back();
    at = std::min(line.find_first_not_of(' ', at), line.size());
    if (at < line.size() && line[at] == '"') {
      for (++at;; ++at) {
        const size_t quote = line.find('"', at);
        if (quote == std::string_view::npos)
          return Invalid(
              fmt::format("field {}: expected a second quote, found none", fields.size()));
        field += line.substr(at, quote - at);
        at = quote + 1;
        if (at >= line.size() || line[at] != '"') break;
        field += '"';  // Two of them are one.
      }
    }
    const size_t end = std::min(line.find_first_of(separators_, at), line.size());
    field = std::string(Trimmed(field.append(line.substr(at, end - at))));
    if (end == line.size()) return fields;
    at = end + 1;
  }
}

Result<bool> CsvLines::TakeHeading(std::string_view line) {
  const bool has_names = !columns_.id.empty() || !columns_.vector.empty();
  if (has_names)
    separators_ = line.find('\t') != std::string_view::npos  ? "\t"
                  : line.find(';') != std::string_view::npos ? ";"
                                                             : ",";
  const Result<std::vector<std::string>> names = FieldsOf(line);
  if (!names) return tl::unexpected(names.error());
  if (!has_names) return !NumberOf(names->front());
  const auto column_of = [&](const std::string& name) -> Result<size_t> {
    const auto found = std::find(names->begin(), names->end(), name);
    if (found != names->end()) return static_cast<size_t>(found - names->begin());
    return Invalid(fmt::format("heading: expected a column {}, found {}", name, line));
  };
  if (id_) {
    const Result<size_t> id = column_of(columns_.id.empty() ? "id" : columns_.id);
    if (!id && !columns_.id.empty()) return tl::unexpected(id.error());
    id_ = id ? std::optional(*id) : std::nullopt;
  }
  for (const std::string& name : columns_.vector) {
    const Result<size_t> column = column_of(name);
    if (!column) return tl::unexpected(column.error());
    vector_.push_back(*column);
  }
  return true;
}

Result<Line> CsvLines::Parse(std::string_view text) const {
  const Result<std::vector<std::string>> fields = FieldsOf(text);
  if (!fields) return tl::unexpected(fields.error());
  Line line;
  size_t needed = id_.value_or(0);
  for (const size_t column : vector_) needed = std::max(needed, column);
  if (fields->size() <= needed)
    return Invalid(
        fmt::format("fields: expected {} or more, found {}", needed + 1, fields->size()));
  if (id_) {
    const Result<uint64_t> id = ParseId((*fields)[*id_]);
    if (!id) return tl::unexpected(id.error());
    line.id = *id;
  }
  for (size_t i = 0; vector_.empty() && i < fields->size(); ++i)
    if (i != id_)
      if (Status ok = AppendField((*fields)[i], line.values); !ok)
        return tl::unexpected(ok.error());
  for (const size_t column : vector_)
    if (Status ok = AppendField((*fields)[column], line.values); !ok)
      return tl::unexpected(ok.error());
  return line;
}

}  // namespace shoal::apps
