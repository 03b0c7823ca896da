// compute_groundtruth: the exact nearest neighbours of every query, by brute force.
#include <fmt/format.h>

#include "apps/common/command_line.h"
#include "apps/common/truth.h"

namespace shoal::apps {
namespace {

Status Run(TruthRequest request, uint32_t k, uint32_t threads, uint32_t part_mb,
           const std::filesystem::path& gt_file) {
  if (k == 0) return MakeError(ErrorCode::kInvalidArgument, "--K: expected at least 1, found 0");
  if (part_mb == 0) {
    return MakeError(ErrorCode::kInvalidArgument, "--part_mb: expected at least 1, found 0");
  }
  if (auto ok = CheckOutputFile(gt_file); !ok) return ok;
  request.k = k;
  request.threads = threads;
  request.part_bytes = size_t{part_mb} << 20;
  auto truth = ComputeTruth(request);
  if (!truth) return tl::unexpected(truth.error());
  if (auto ok = WriteTruth(gt_file, request.metric, std::move(*truth)); !ok) return ok;
  fmt::print("Written: {}\n", gt_file.string());
  return {};
}

}  // namespace
}  // namespace shoal::apps

int main(int argc, char** argv) {
  using namespace shoal::apps;  // NOLINT(google-build-using-namespace)
  CommandLine line("compute_groundtruth",
                   "Finds the exact nearest neighbours of every query and writes them, nearest "
                   "first, as a truthset: ids and distances (l2: squared; mips: the inner product; "
                   "cosine: 2 - 2 cos).");
  TruthRequest request;
  std::filesystem::path gt_file;
  uint32_t k = 0;
  uint32_t threads = 0;
  uint32_t part_mb = 2048;
  line.Required(flags::kDataType, &request.type);
  line.Required(flags::kDistFn, &request.metric);
  line.Required(flags::kBaseFile, &request.base_file);
  line.Required(flags::kQueryFile, &request.query_file);
  line.Required(flags::kGtFileOut, &gt_file);
  line.Required(flags::kGtK, &k);
  line.Optional(flags::kTagsFile, &request.tags_file);
  line.Optional(flags::kNumThreads, &threads);
  line.Optional(flags::kPartMb, &part_mb);
  line.Switch(flags::kSkipZeroVectors, &request.skip_zero_vectors);
  return line.Run(argc, argv,
                  [&] { return Run(std::move(request), k, threads, part_mb, gt_file); });
}
