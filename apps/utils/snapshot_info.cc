// snapshot_info FILE [--verify]: what is in a file that Index::Save wrote, and whether it is
// damaged.
#include <fmt/format.h>

#include "apps/common/command_line.h"
#include "shoal/snapshot.h"

namespace shoal::apps {
namespace {

Status Run(const std::filesystem::path& file, bool verify, uint32_t threads) {
  const auto info = verify ? VerifySnapshot(file, {.threads = threads}) : InspectSnapshot(file);
  if (!info) return tl::unexpected(info.error());
  const IndexOptions& options = info->options;
  const double degree =
      info->points == 0 ? 0 : static_cast<double>(info->edges) / static_cast<double>(info->points);
  const std::pair<const char*, std::string> lines[] = {
      {"file", file.string()},
      {"format version", fmt::to_string(info->format_version)},
      {"bytes", fmt::to_string(info->bytes)},
      {"points", fmt::to_string(info->points)},
      {"dimension", fmt::to_string(options.dim)},
      {"element type", std::string(ScalarTypeName(options.scalar_type))},
      {"metric", std::string(MetricName(options.metric))},
      {"code", std::string(CodeName(options.code))},
      {"rerank code", std::string(CodeName(options.rerank_code))},
      {"max_degree (R)", fmt::to_string(options.max_degree)},
      {"build_list_size (L)", fmt::to_string(options.build_list_size)},
      {"alpha", fmt::format("{:.4g}", options.alpha)},
      {"edges", fmt::format("{} ({:.1f} a point)", info->edges, degree)},
      {"codes", info->has_list_codes ? "of the points, and beside the lists" : "of the points"},
      {"vectors", info->has_vectors ? "in the file" : "in a feature store"},
      {"checksums", verify ? "all right" : "of the header: right (--verify: all)"},
  };
  for (const auto& [name, value] : lines) fmt::print("{:<20} {}\n", name, value);
  return {};
}

}  // namespace
}  // namespace shoal::apps

int main(int argc, char** argv) {
  using namespace shoal::apps;  // NOLINT(google-build-using-namespace)
  CommandLine line("snapshot_info",
                   "Prints what is in a snapshot of an index (Index::Save), from its header. With "
                   "--verify it compares every checksum of the file.");
  std::filesystem::path file;
  bool verify = false;
  uint32_t threads = 0;
  line.Positional("file", "the snapshot", &file);
  line.Switch(flags::kVerify, &verify);
  line.Optional(flags::kNumThreads, &threads);
  return line.Run(argc, argv, [&] { return Run(file, verify, threads); });
}
