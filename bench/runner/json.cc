#include "runner/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "base/file.h"

namespace shoal::bench {
namespace {

// Notes the first key that an object has twice; nlohmann would keep one of the two silently.
class RepeatedKeys {
 public:
  bool operator()(int /*depth*/, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) seen_.emplace_back();
    if (event == Json::parse_event_t::object_end) seen_.pop_back();
    if (event == Json::parse_event_t::key && repeated.empty()) {
      const auto key = parsed.get<std::string>();
      if (!seen_.back().insert(key).second) repeated = key;
    }
    return true;
  }
  std::string repeated;

 private:
  std::vector<std::set<std::string>> seen_;
};

// "line 3, column 7" of a byte, counted from 1.
std::string Place(std::string_view text, size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte == 0 ? 0 : byte - 1, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_begin =
      before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return fmt::format("line {}, column {}", line, before.size() - line_begin + 1);
}

}  // namespace

Expected<Json> ParseJson(std::string_view text, std::string_view name) {
  RepeatedKeys keys;
  try {
    Json json = Json::parse(text, std::ref(keys));
    if (keys.repeated.empty()) return json;
    return tl::unexpected(fmt::format(
        "{}: expected every key of an object once, found \"{}\" twice", name, keys.repeated));
  } catch (const Json::parse_error& error) {
    return tl::unexpected(
        fmt::format("{}: {}: expected JSON, found something else", name, Place(text, error.byte)));
  } catch (const Json::out_of_range&) {
    return tl::unexpected(
        fmt::format("{}: expected numbers that a double can hold, found a larger one", name));
  }
}

Expected<Json> ReadJson(const std::filesystem::path& path) {
  auto file = shoal::InputFile::Open(path);
  if (!file) return tl::unexpected(file.error().message);
  std::string text(file->size(), '\0');
  if (auto read = file->ReadAt(0, text.data(), text.size(), "text"); !read)
    return tl::unexpected(read.error().message);
  return ParseJson(text, path.string());
}

Expected<void> WriteJson(const std::filesystem::path& path, const Json& json) {
  const std::string text = json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  auto file = OutputFile::Create(path);
  if (!file) return tl::unexpected(file.error().message);
  Status written = file->Append(text.data(), text.size());
  if (written) written = file->Commit();
  if (!written) return tl::unexpected(written.error().message);
  return {};
}

std::string Describe(const Json& json) {
  constexpr size_t kMax = 60;
  if (json.is_object()) return json.empty() ? "an empty object" : "an object";
  if (json.is_array() && json.size() > 4) return fmt::format("a list of {}", json.size());
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= kMax ? text : text.substr(0, kMax) + "...";
}

}  // namespace shoal::bench
