// test_insert_deletes_consolidate: inserts points and deletes the first of them, afterwards or at
// the same time.
#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "apps/common/stream.h"

namespace shoal::apps {
namespace {

struct Request {
  StreamRequest stream;
  uint32_t skip = 0;
  uint32_t beginning = 0;
  uint32_t per_checkpoint = 0;
  uint32_t checkpoints_per_snapshot = 0;
  uint32_t deletes = 0;
  uint32_t start_deletes_after = 0;
  uint32_t threads = 0;
  bool concurrent = false;
};

Status Invalid(std::string text) { return MakeError(ErrorCode::kInvalidArgument, std::move(text)); }

// "skip10-del20-30", as DiskANN names its files.
std::string Suffix(const char* what, const Request& request, size_t end) {
  const std::string skip = request.skip == 0 ? "" : fmt::format("skip{}-", request.skip);
  return fmt::format(".{}-{}del{}-{}", what, skip, request.deletes, end);
}

// Errors that are found before any work.
Status CheckRequest(const Request& request, const Stream& stream) {
  const size_t points = request.stream.max_points;
  const auto check = [&](const char* flag, size_t value) -> Status {
    if (value <= points) return {};
    return Invalid(fmt::format("{}: expected at most {} points, found {}", flag, points, value));
  };
  if (request.per_checkpoint == 0)
    return Invalid("--points_per_checkpoint: expected at least 1, found 0");
  if (auto ok = check("--beginning_index_size", request.beginning); !ok) return ok;
  if (auto ok = check("--points_to_delete_from_beginning", request.deletes); !ok) return ok;
  if (stream.Points(request.skip + size_t{request.deletes}, request.skip + points) == 0)
    return Invalid(
        fmt::format("--points_to_delete_from_beginning: expected less than all {} "
                    "points (DiskANN's files hold at least one), found {}",
                    points, request.deletes));
  return request.concurrent ? check("--start_deletes_after", request.start_deletes_after)
                            : Status();
}

class Run {
 public:
  Run(const Request& request, Stream& stream)
      : request_(request),
        stream_(stream),
        end_(request.skip + request.stream.max_points),
        threads_(request.concurrent ? (request.threads + 1) / 2 : request.threads) {}

  Status All() {
    size_t at = request_.skip;
    if (request_.beginning > 0) {
      at += request_.beginning;
      fmt::print("Initial index of {} points\n", request_.beginning);
      if (auto ok = stream_.Insert(request_.skip, at, request_.threads); !ok) return ok;
    }
    if (request_.concurrent) StartDeletes(at);
    for (; at < end_; at = std::min<size_t>(at + request_.per_checkpoint, end_)) {
      const size_t next = std::min<size_t>(at + request_.per_checkpoint, end_);
      if (auto ok = stream_.Insert(at, next, threads_); !ok) return ok;
      if (auto ok = Checkpoint(Suffix("inc", request_, next)); !ok) return ok;
      if (request_.concurrent) StartDeletes(next);
    }
    if (auto ok = request_.concurrent ? deleting_.get() : DeleteInBatches(); !ok) return ok;
    return stream_.Save(
        Suffix(request_.concurrent ? "after-concurrent-delete" : "after-delete", request_, end_));
  }

 private:
  // All deletes, beside the inserts that are still to come, once there are enough points.
  void StartDeletes(size_t inserted) {
    const size_t enough =
        std::max<size_t>(request_.skip + request_.start_deletes_after, LastDeleted());
    if (deleting_.valid() || inserted < std::min(enough, end_)) return;
    deleting_ = std::async(std::launch::async, [this] {
      return stream_.DeleteAndConsolidate(request_.skip, LastDeleted(), threads_);
    });
  }

  Status DeleteInBatches() {
    for (size_t at = request_.skip; at < LastDeleted(); at += request_.per_checkpoint) {
      const size_t next = std::min<size_t>(at + request_.per_checkpoint, LastDeleted());
      if (auto ok = stream_.DeleteAndConsolidate(at, next, threads_); !ok) return ok;
      const std::string name =
          fmt::format("{}-deleted{}", Suffix("inc", request_, end_), next - request_.skip);
      if (auto ok = Checkpoint(name); !ok) return ok;
    }
    return {};
  }

  // A snapshot after every so many batches.
  Status Checkpoint(const std::string& suffix) {
    if (request_.checkpoints_per_snapshot == 0) return {};
    if (++checkpoints_ % request_.checkpoints_per_snapshot != 0) return {};
    return stream_.Save(suffix);
  }

  size_t LastDeleted() const { return size_t{request_.skip} + request_.deletes; }

  const Request& request_;
  Stream& stream_;
  const size_t end_;
  const size_t threads_;
  size_t checkpoints_ = 0;
  std::future<Status> deleting_;
};

Status Go(Request request) {
  request.threads = ThreadsOrAll(request.threads);
  auto stream = Stream::Open(request.stream, request.skip);
  if (!stream) return tl::unexpected(stream.error());
  if (auto ok = CheckRequest(request, *stream); !ok) return ok;
  return Run(request, *stream).All();
}

}  // namespace
}  // namespace shoal::apps

int main(int argc, char** argv) {
  using namespace shoal::apps;  // NOLINT(google-build-using-namespace)
  CommandLine line(
      "test_insert_deletes_consolidate",
      "Inserts rows of a file, deletes the first of them, repairs the graph and writes "
      "DiskANN's dynamic index files. The tag of row j is j + 1.");
  Request request;
  request.stream.Declare(line);
  line.Required(flags::kPointsToSkip, &request.skip);
  line.Required(flags::kBeginningIndexSize, &request.beginning);
  line.Required(flags::kPointsPerCheckpoint, &request.per_checkpoint);
  line.Required(flags::kCheckpointsPerSnapshot, &request.checkpoints_per_snapshot);
  line.Required(flags::kPointsToDelete, &request.deletes);
  line.Optional(flags::kNumThreads, &request.threads);
  line.Optional(flags::kDoConcurrent, &request.concurrent);
  line.Optional(flags::kStartDeletesAfter, &request.start_deletes_after);
  return line.Run(argc, argv, [&] { return Go(std::move(request)); });
}
