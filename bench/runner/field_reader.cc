#include "runner/field_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace shoal::bench {
namespace {

std::string Expectation(UnsignedRange range) {
  if (range.most == UINT64_MAX) return fmt::format("an integer of at least {}", range.least);
  return fmt::format("an integer in [{}, {}]", range.least, range.most);
}

std::string Expectation(NumberRange range) {
  if (range.most >= NumberRange().most) return fmt::format("a number of at least {}", range.least);
  return fmt::format("a number in [{}, {}]", range.least, range.most);
}

bool Fits(const Json& json, UnsignedRange range) {
  // What was made in C++, not read from a file, may be signed and positive.
  if (!json.is_number_integer()) return false;
  if (!json.is_number_unsigned() && json.get<int64_t>() < 0) return false;
  const auto value = json.get<uint64_t>();
  return range.least <= value && value <= range.most;
}

bool IsText(const Json& json) {
  return json.is_string() && !json.get_ref<const std::string&>().empty();
}

bool IsListOf(const Json& json, const std::function<bool(const Json&)>& fits) {
  return json.is_array() && std::all_of(json.begin(), json.end(), fits);
}

}  // namespace

FieldReader::FieldReader(const Json& object, std::string path)
    : object_(object), path_(std::move(path)) {
  if (object.is_object()) return;
  const std::string where = path_.ends_with(": ") ? path_.substr(0, path_.size() - 2) : path_;
  error_ = fmt::format("{}: expected an object, found {}", where, Describe(object));
}

std::string FieldReader::PathOf(std::string_view key) const {
  // Behind the file's name comes the first key; behind a key, a dot.
  const bool at_top = path_.ends_with(": ") || path_.empty();
  return fmt::format("{}{}{}", path_, at_top ? "" : ".", key);
}

void FieldReader::Fail(std::string_view key, std::string_view expected, std::string_view found) {
  FailWith(fmt::format("{}: expected {}, found {}", PathOf(key), expected, found));
}

void FieldReader::FailWith(std::string line) {
  if (!error_) error_ = std::move(line);
}

bool FieldReader::Has(std::string_view key) const {
  return object_.is_object() && object_.contains(key);
}

const Json* FieldReader::Find(std::string_view key) {
  asked_.emplace(key);
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(std::string(key));
  return found == object_.end() ? nullptr : &*found;
}

template <class FitsFunction>
const Json* FieldReader::Take(std::string_view key, std::string_view expected, bool optional,
                              const FitsFunction& fits) {
  const Json* value = Find(key);
  if (value == nullptr) {
    if (!optional) Fail(key, expected, "nothing");
    return nullptr;
  }
  if (fits(*value)) return value;
  Fail(key, expected, Describe(*value));
  return nullptr;
}

template <class T>
T FieldReader::Keep(std::string_view key, T value) {
  understood_[std::string(key)] = value;
  return value;
}

uint64_t FieldReader::Unsigned(std::string_view key, UnsignedRange range,
                               std::optional<uint64_t> otherwise) {
  const Json* value = Take(key, Expectation(range), otherwise.has_value(),
                           [&](const Json& json) { return Fits(json, range); });
  return Keep(key, value == nullptr ? otherwise.value_or(range.least) : value->get<uint64_t>());
}

double FieldReader::Number(std::string_view key, NumberRange range,
                           std::optional<double> otherwise) {
  const Json* value = Take(key, Expectation(range), otherwise.has_value(), [&](const Json& json) {
    return json.is_number() && range.least <= json.get<double>() &&
           json.get<double>() <= range.most;
  });
  return Keep(key, value == nullptr ? otherwise.value_or(range.least) : value->get<double>());
}

bool FieldReader::Flag(std::string_view key, std::optional<bool> otherwise) {
  const Json* value = Take(key, "true or false", otherwise.has_value(),
                           [](const Json& json) { return json.is_boolean(); });
  return Keep(key, value == nullptr ? otherwise.value_or(false) : value->get<bool>());
}

std::string FieldReader::Text(std::string_view key, const std::optional<std::string>& otherwise) {
  const bool may_be_empty = otherwise && otherwise->empty();
  const Json* value = Take(key, "a text", otherwise.has_value(), [&](const Json& json) {
    return IsText(json) || (may_be_empty && json.is_string());
  });
  return Keep(key, value == nullptr ? otherwise.value_or("") : value->get<std::string>());
}

std::string FieldReader::OneOf(std::string_view key, const std::vector<std::string_view>& words,
                               const std::optional<std::string>& otherwise) {
  const Json* value =
      Take(key, fmt::format("one of {}", fmt::join(words, ", ")), otherwise.has_value(),
           [&](const Json& json) {
             return json.is_string() &&
                    std::find(words.begin(), words.end(), json.get<std::string>()) != words.end();
           });
  return Keep(key, value == nullptr ? otherwise.value_or(std::string(words.front()))
                                    : value->get<std::string>());
}

std::vector<uint64_t> FieldReader::UnsignedList(
    std::string_view key, UnsignedRange range,
    const std::optional<std::vector<uint64_t>>& otherwise) {
  using List = std::vector<uint64_t>;
  const Json* value = Take(
      key, fmt::format("a list of {}, one or more", Expectation(range)), otherwise.has_value(),
      [&](const Json& json) {
        return !json.empty() && IsListOf(json, [&](const Json& one) { return Fits(one, range); });
      });
  return Keep(key, value == nullptr ? otherwise.value_or(List{range.least}) : value->get<List>());
}

std::vector<std::string> FieldReader::TextList(
    std::string_view key, const std::optional<std::vector<std::string>>& otherwise) {
  using List = std::vector<std::string>;
  const Json* value = Take(key, "a list of texts", otherwise.has_value(),
                           [](const Json& json) { return IsListOf(json, IsText); });
  return Keep(key, value == nullptr ? otherwise.value_or(List{}) : value->get<List>());
}

std::filesystem::path FieldReader::InputFile(std::string_view key, const FindInput& find,
                                             const std::optional<std::string>& otherwise) {
  const std::string name = Text(key, otherwise);
  if (name.empty() || error_) return {};
  const Expected<std::filesystem::path> found = find(name);
  if (found) return *found;
  FailWith(fmt::format("{}: {}", PathOf(key), found.error()));
  return {};
}

void FieldReader::Adopt(FieldReader& inner) {
  if (const Expected<void> fine = inner.Finish(); !fine) FailWith(fine.error());
}

void FieldReader::Object(std::string_view key, const ReadObject& read) {
  if (!Has(key)) Fail(key, "an object", "nothing");
  OptionalObject(key, read);
}

void FieldReader::OptionalObject(std::string_view key, const ReadObject& read) {
  const Json* value = Find(key);
  static const Json kEmpty = Json::object();
  FieldReader inner(value == nullptr ? kEmpty : *value, PathOf(key));
  read(inner);
  Adopt(inner);
  Keep(key, inner.understood());
}

void FieldReader::Objects(std::string_view key, const ReadObject& read) {
  const Json* list = Take(key, "a list of objects, one or more", false,
                          [](const Json& json) { return json.is_array() && !json.empty(); });
  Json understood = Json::array();
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    FieldReader inner((*list)[i], fmt::format("{}[{}]", PathOf(key), i));
    read(inner);
    Adopt(inner);
    understood.push_back(inner.understood());
  }
  Keep(key, understood);
}

Json FieldReader::Any(std::string_view key) {
  const Json* value = Find(key);
  return Keep(key, value == nullptr ? Json() : *value);
}

Expected<void> FieldReader::Finish() {
  if (error_) return tl::unexpected(*error_);
  for (const auto& [key, value] : object_.items()) {
    if (asked_.contains(key)) continue;
    error_ = fmt::format("{}: expected one of {}, found an unknown key", PathOf(key),
                         fmt::join(asked_, ", "));
    return tl::unexpected(*error_);
  }
  return {};
}

}  // namespace shoal::bench
