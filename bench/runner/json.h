// JSON files and what this program says of mistakes in them: one line that names the file, the path
// inside it, what was expected and what was found.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "shoal/result.h"

namespace shoal::bench {

// Members stay in the order of the file, or of their making.
using Json = nlohmann::ordered_json;

// A value, or one line that says why there is none.
template <class T>
using Expected = tl::expected<T, std::string>;

// The library's result with its message alone.
template <class T>
Expected<T> Plain(Result<T> result) {
  if (!result) return tl::unexpected(result.error().message);
  if constexpr (std::is_void_v<T>) {
    return {};
  } else {
    return std::move(*result);
  }
}

// The whole file. Refused: no such file, no JSON (line and column are named), a key that an object
// has twice.
Expected<Json> ReadJson(const std::filesystem::path& path);
// The same of a text; `name` stands for the file in messages.
Expected<Json> ParseJson(std::string_view text, std::string_view name);
// Indented by two, appears whole or not at all.
Expected<void> WriteJson(const std::filesystem::path& path, const Json& json);

// What was found in place of what was expected, for a message: `"abc"`, `-3`, `an object`, short.
std::string Describe(const Json& json);

}  // namespace shoal::bench
