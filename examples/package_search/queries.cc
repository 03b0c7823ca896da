#include "package_search/queries.h"

#include <fmt/core.h>

#include <algorithm>

#include "package_search/text.h"

namespace package_search {
namespace {

constexpr std::string_view kLike = "packages like ";

// Some of the words of `synopsis`, chosen by the bits of `random`.
std::string SomeWords(const std::string& synopsis, uint64_t random) {
  std::vector<std::string> words = Words(synopsis);
  const size_t wanted = 2 + random % 3;
  while (words.size() > wanted) {
    random = MixBits(random);
    words.erase(words.begin() + static_cast<ptrdiff_t>(random % words.size()));
  }
  std::string text;
  for (const std::string& word : words) text.append(word).append(" ");
  return text;
}

std::optional<size_t> FindPackage(std::string_view name, std::span<const Package> packages) {
  const auto found = std::find_if(packages.begin(), packages.end(),
                                  [&](const Package& package) { return package.name == name; });
  if (found == packages.end()) return std::nullopt;
  return found - packages.begin();
}

}  // namespace

std::vector<float> SampleQueries(std::span<const Package> packages, const Vectorizer& vectorizer,
                                 size_t count) {
  std::vector<float> queries(count * kVectorDim);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t random = MixBits(i + 1);
    const Package& package = packages[random % packages.size()];
    const auto out = std::span(queries).subspan(i * kVectorDim, kVectorDim);
    const std::string text = i % 2 == 1 ? SomeWords(package.synopsis, random) : std::string();
    if (text.empty()) {
      vectorizer.Embed(package, out);
    } else {
      vectorizer.EmbedText(text, out);
    }
  }
  return queries;
}

shoal::Result<Query> MakeQuery(std::string_view text, std::span<const Package> packages,
                               const Vectorizer& vectorizer) {
  const bool like = text.starts_with(kLike);
  const std::string_view name = like ? text.substr(kLike.size()) : text;
  Query query;
  query.vector.resize(kVectorDim);
  query.package = FindPackage(name, packages);
  if (query.package) {
    query.title = fmt::format("{}{}", kLike, name);
    vectorizer.Embed(packages[*query.package], query.vector);
  } else if (like) {
    return shoal::MakeError(shoal::ErrorCode::kNotFound,
                            fmt::format("query \"{}\": expected the name of one of {} packages, "
                                        "found \"{}\"",
                                        text, packages.size(), name));
  } else if (Words(text).empty()) {
    return shoal::MakeError(
        shoal::ErrorCode::kInvalidArgument,
        fmt::format("query \"{}\": expected words or the name of a package, found neither", text));
  } else {
    query.title = fmt::format("\"{}\"", text);
    vectorizer.EmbedText(text, query.vector);
  }
  return query;
}

}  // namespace package_search
