#include "apps/common/labels.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>

#include "shoal/dataset.h"

namespace shoal::apps {
namespace {

std::filesystem::path With(const std::filesystem::path& prefix, const char* suffix) {
  std::filesystem::path path = prefix;
  path += suffix;
  return path;
}

tl::unexpected<Error> Bad(const std::filesystem::path& path, size_t line,
                          const std::string& expected, const std::string& found) {
  return MakeError(ErrorCode::kCorrupt, fmt::format("{}: line {}: expected {}, found {}",
                                                    path.string(), line + 1, expected, found));
}

Result<std::vector<std::string>> ReadLines(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(line);
  }
  if (!file.eof())
    return MakeError(ErrorCode::kIo,
                     fmt::format("{}: expected a text file, found none to read", path.string()));
  return lines;
}

Status WriteText(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (file) return {};
  return MakeError(ErrorCode::kIo, fmt::format("{}: cannot be written", path.string()));
}

std::optional<uint32_t> ParseNumber(const std::string& word) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return number;
}

Status CheckPoints(const std::filesystem::path& path, size_t points, size_t lines) {
  if (points == lines) return {};
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("{}: lines: expected one a point, {}, found {}", path.string(), points, lines));
}

void Sort(std::vector<uint32_t>& set) {
  std::ranges::sort(set);
  set.erase(std::unique(set.begin(), set.end()), set.end());
}

}  // namespace

Result<Filter> PointLabels::FilterFor(const std::string& label, const std::string& where) const {
  const auto at = numbers.find(label);
  if (at == numbers.end())
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{}: expected a label of the index, found '{}'", where, label));
  const Filter own = Filter::Label(at->second);
  return has_universal ? Filter::Any({own, Filter::Label(0)}) : own;
}

bool PointLabels::Has(size_t point, uint32_t label) const {
  const auto& set = sets[point];
  return std::ranges::binary_search(set, label) ||
         (has_universal && std::ranges::binary_search(set, 0u));
}

Result<std::vector<std::vector<std::string>>> ReadLabelLines(const std::filesystem::path& path) {
  const auto lines = ReadLines(path);
  if (!lines) return tl::unexpected(lines.error());
  std::vector<std::vector<std::string>> words;
  for (const std::string& line : *lines) {
    auto& own = words.emplace_back();
    for (size_t begin = 0; begin <= line.size();) {
      const size_t end = std::min(line.find(',', begin), line.size());
      if (end > begin) own.push_back(line.substr(begin, end - begin));
      begin = end + 1;
    }
    const size_t at = words.size() - 1;
    if (own.empty()) return Bad(path, at, "a label", "'" + line + "'");
    if (own.size() > kMaxLabels)
      return Bad(path, at, fmt::format("at most {} labels", kMaxLabels),
                 std::to_string(own.size()));
  }
  return words;
}

Result<PointLabels> ReadLabels(const std::filesystem::path& path, const std::string& universal,
                               size_t points) {
  const auto lines = ReadLabelLines(path);
  if (!lines) return tl::unexpected(lines.error());
  if (auto ok = CheckPoints(path, points, lines->size()); !ok) return tl::unexpected(ok.error());
  PointLabels labels;
  labels.has_universal = !universal.empty();
  if (labels.has_universal) labels.numbers[universal] = 0;
  uint32_t next = 1;
  for (const auto& words : *lines) {
    auto& set = labels.sets.emplace_back();
    for (const std::string& word : words) {
      const auto [at, is_new] = labels.numbers.try_emplace(word, next);
      next += is_new ? 1 : 0;
      set.push_back(at->second);
    }
    Sort(set);
  }
  return labels;
}

Status WriteIndexLabels(const std::filesystem::path& prefix,
                        const std::optional<PointLabels>& labels) {
  std::error_code ignored;
  for (const char* suffix : {"_labels.txt", "_labels_map.txt", "_universal_label.txt"})
    std::filesystem::remove(With(prefix, suffix), ignored);
  if (!labels) return {};
  std::string sets, map;
  for (const auto& set : labels->sets) sets += fmt::format("{}\n", fmt::join(set, ","));
  for (const auto& [word, number] : labels->numbers) map += fmt::format("{}\t{}\n", word, number);
  if (auto ok = WriteText(With(prefix, "_labels.txt"), sets); !ok) return ok;
  if (auto ok = WriteText(With(prefix, "_labels_map.txt"), map); !ok) return ok;
  return labels->has_universal ? WriteText(With(prefix, "_universal_label.txt"), "0\n") : Status();
}

Result<PointLabels> ReadIndexLabels(const std::filesystem::path& prefix, size_t points) {
  PointLabels labels;
  const auto map_path = With(prefix, "_labels_map.txt"), sets_path = With(prefix, "_labels.txt");
  const auto map = ReadLines(map_path);
  if (!map) return tl::unexpected(map.error());
  for (size_t i = 0; i < map->size(); ++i) {
    const std::string& line = (*map)[i];
    const size_t tab = line.rfind('\t');
    const auto number = tab == std::string::npos ? std::nullopt : ParseNumber(line.substr(tab + 1));
    if (!number) return Bad(map_path, i, "a label, a tab and a number", "'" + line + "'");
    labels.numbers[line.substr(0, tab)] = *number;
  }
  const auto sets = ReadLabelLines(sets_path);
  if (!sets) return tl::unexpected(sets.error());
  if (auto ok = CheckPoints(sets_path, points, sets->size()); !ok)
    return tl::unexpected(ok.error());
  for (size_t i = 0; i < sets->size(); ++i) {
    auto& set = labels.sets.emplace_back();
    for (const std::string& word : (*sets)[i]) {
      const auto number = ParseNumber(word);
      if (!number) return Bad(sets_path, i, "numbers", "'" + word + "'");
      set.push_back(*number);
    }
    Sort(set);
  }
  labels.has_universal = std::filesystem::exists(With(prefix, "_universal_label.txt"));
  return labels;
}

Result<std::vector<uint32_t>> ReadIndexTags(const std::filesystem::path& prefix) {
  auto tags = ReadIdBin(With(prefix, ".tags"));
  if (tags) std::erase(*tags, 0u);
  return tags;
}

}  // namespace shoal::apps
