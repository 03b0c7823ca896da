// stats_label_data: how many points a label file's labels have.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "apps/common/command_line.h"
#include "apps/common/labels.h"

namespace shoal::apps {
namespace {

Status Print(const std::filesystem::path& path, const std::string& universal, uint32_t density) {
  const auto lines = ReadLabelLines(path);
  if (!lines) return tl::unexpected(lines.error());
  if (lines->empty())
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("{}: lines: expected at least 1, found 0", path.string()));
  std::map<std::string, size_t> points_of;
  size_t dense = 0, sum = 0;
  for (const auto& words : *lines) {
    dense += words.size() >= density ? 1 : 0;
    sum += words.size();
    for (const std::string& word : words) ++points_of[word];
  }
  std::vector<std::pair<size_t, std::string>> labels;
  for (const auto& [label, points] : points_of) labels.emplace_back(points, label);
  std::ranges::sort(labels);
  const auto points = static_cast<double>(lines->size());
  fmt::print("fraction of dense points with >= {} labels = {}\n", density,
             static_cast<double>(dense) / points);
  for (size_t percent = 0; percent < 100; percent += 5) {
    const auto& [count, label] = labels[percent * labels.size() / 100];
    fmt::print("Percentile {}\t{} with count={}\n", percent, label, count);
  }
  constexpr const char* kRanks[] = {"Most", "Second", "Third"};
  for (size_t i = 0; i < std::min<size_t>(3, labels.size()); ++i) {
    const auto& [count, label] = labels[labels.size() - 1 - i];
    fmt::print("{} common label \t{} with count={}\n", kRanks[i], label, count);
  }
  fmt::print("Total number of points = {}, number of labels = {}\n", lines->size(), labels.size());
  fmt::print("Average number of labels per point = {}\n", static_cast<double>(sum) / points);
  const auto everywhere = points_of.find(universal);
  const bool has_universal = everywhere != points_of.end();
  const size_t others = labels.size() - (has_universal ? 1 : 0);
  const size_t other_sum = sum - (has_universal ? everywhere->second : 0);
  fmt::print("Mean label size excluding {} = {}\n", universal,
             others == 0 ? 0 : static_cast<double>(other_sum) / static_cast<double>(others));
  return {};
}

}  // namespace
}  // namespace shoal::apps

int main(int argc, char** argv) {
  using namespace shoal::apps;  // NOLINT(google-build-using-namespace)
  CommandLine line("stats_label_data", "Prints how many points the labels of a label file have.");
  std::filesystem::path labels_file;
  std::string universal;
  uint32_t density = 1;
  line.Required(flags::kLabelsFile, &labels_file);
  line.Required(flags::kUniversalLabel, &universal);
  line.Optional(flags::kDensity, &density);
  return line.Run(argc, argv, [&] { return Print(labels_file, universal, density); });
}
