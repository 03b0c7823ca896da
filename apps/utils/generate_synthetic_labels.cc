// generate_synthetic_labels: a label file of random labels. The same flags and seed make the same
// file.
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <random>

#include "apps/common/command_line.h"

namespace shoal::apps {
namespace {

constexpr uint32_t kMostLabels = 5000;
constexpr const char* kNoLabel = "0";  // DiskANN's word for a point that gets none.

struct Request {
  std::filesystem::path output_file;
  uint32_t points = 0;
  uint32_t labels = 0;
  uint32_t seed = 1;
  std::string distribution = "random";
};

// Each label with probability share(label), as long as left(label) allows.
template <class Takes>
std::string Line(uint32_t labels, const Takes& takes) {
  std::string line;
  for (uint32_t label = 1; label <= labels; ++label)
    if (takes(label)) line += fmt::format("{}{}", line.empty() ? "" : ",", label);
  return line.empty() ? kNoLabel : line;
}

Status Generate(const Request& request) {
  const auto wrong = [](const char* flag, const std::string& expected, const auto& found) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{}: expected {}, found {}", flag, expected, found));
  };
  if (request.labels < 1 || request.labels > kMostLabels)
    return wrong("--num_labels", fmt::format("1 to {}", kMostLabels), request.labels);
  if (request.points < 1) return wrong("--num_points", "at least 1", request.points);
  const std::string& kind = request.distribution;
  if (kind != "random" && kind != "zipf" && kind != "one_per_point")
    return wrong("--distribution_type", "random, zipf or one_per_point", kind);
  if (auto ok = CheckOutputFile(request.output_file); !ok) return ok;
  std::mt19937_64 random(request.seed);
  const auto chance = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  // zipf: the first label of .7 of the points, the i-th of an i-th of those.
  constexpr double kFirstShare = .7;
  std::vector<uint64_t> left(size_t{request.labels} + 1);
  for (uint32_t label = 1; label <= request.labels; ++label)
    left[label] = static_cast<uint64_t>(std::ceil(request.points * kFirstShare)) / label;
  std::ofstream file(request.output_file);
  for (uint32_t i = 0; i < request.points; ++i) {
    if (kind == "random") {
      file << Line(request.labels, [&](uint32_t) { return chance() < .5; });
    } else if (kind == "zipf") {
      file << Line(request.labels, [&](uint32_t label) {
        if (chance() >= kFirstShare / label || left[label] == 0) return false;
        --left[label];
        return true;
      });
    } else {
      file << random() % (uint64_t{request.labels} + 1);
    }
    file << '\n';
  }
  file.close();
  if (!file)
    return MakeError(ErrorCode::kIo,
                     fmt::format("{}: cannot be written", request.output_file.string()));
  fmt::print("Labels written to {}\n", request.output_file.string());
  return {};
}

}  // namespace
}  // namespace shoal::apps

int main(int argc, char** argv) {
  using namespace shoal::apps;  // NOLINT(google-build-using-namespace)
  CommandLine line("generate_synthetic_labels",
                   "Writes a label file: a line of labels, with commas between them, for every "
                   "point; 0 where a point gets none.");
  Request request;
  line.Required(flags::kLabelsOut, &request.output_file);
  line.Required(flags::kNumPoints, &request.points);
  line.Required(flags::kNumLabels, &request.labels);
  line.Optional(flags::kDistributionType, &request.distribution);
  line.Optional(flags::kSeed, &request.seed);
  return line.Run(argc, argv, [&] { return Generate(request); });
}
