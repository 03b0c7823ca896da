// test_streaming_scenario: a window that slides over a file. New points are inserted while the
// oldest are deleted.
#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "apps/common/stream.h"
#include "shoal/version.h"

namespace shoal::apps {
namespace {

struct Request {
  StreamRequest stream;
  uint32_t window = 0;
  uint32_t interval = 0;
  uint32_t insert_threads = 0;
  uint32_t consolidate_threads = 0;
};

Status CheckRequest(const Request& request, const Stream& stream) {
  const auto check = [](bool ok, std::string text) -> Status {
    return ok ? Status() : MakeError(ErrorCode::kInvalidArgument, std::move(text));
  };
  const uint64_t needed = uint64_t{request.window} + request.interval;
  auto ok = check(request.window > 0, "--active_window: expected at least 1, found 0");
  if (ok) ok = check(request.interval > 0, "--consolidate_interval: expected at least 1, found 0");
  if (ok)
    ok = check(needed <= request.stream.max_points,
               fmt::format("--max_points_to_insert: expected at least active_window + "
                           "consolidate_interval = {}, found {}",
                           needed, request.stream.max_points));
  const size_t all = request.stream.max_points;
  if (ok)
    ok =
        check(stream.Points(all - needed, all) > 0,
              fmt::format("{}: the last {} rows: expected a point to be left (DiskANN's files hold "
                          "at least one), found zero vectors only",
                          request.stream.data_path.string(), needed));
  return ok;
}

// Inserts interval by interval. Meanwhile it deletes the interval that has left the window.
Status Slide(const Request& request, Stream& stream) {
  const size_t all = request.stream.max_points;
  if (auto ok = stream.Insert(0, request.window, request.insert_threads); !ok) return ok;
  std::future<Status> deleting;
  const auto wait = [&] { return deleting.valid() ? deleting.get() : Status(); };
  for (size_t at = request.window; at < all; at += request.interval) {
    const size_t next = std::min(at + request.interval, all);
    if (auto ok = stream.Insert(at, next, request.insert_threads); !ok) return ok;
    if (auto ok = wait(); !ok) return ok;
    if (at < size_t{request.window} + request.interval) continue;
    // As many as have come: window + interval points are left, whatever the last ones were.
    const size_t first = at - request.window - request.interval, last = first + (next - at);
    deleting = std::async(std::launch::async, [&stream, &request, first, last] {
      return stream.DeleteAndConsolidate(first, last, request.consolidate_threads);
    });
  }
  return wait();
}

Status Go(Request request) {
  const uint32_t half = std::max(1u, ThreadsOrAll(0) / 2);
  if (request.insert_threads == 0) request.insert_threads = half;
  if (request.consolidate_threads == 0) request.consolidate_threads = half;
  auto stream = Stream::Open(request.stream, 0);
  if (!stream) return tl::unexpected(stream.error());
  if (auto ok = CheckRequest(request, *stream); !ok) return ok;
  if (auto ok = Slide(request, *stream); !ok) return ok;
  return stream->Save(fmt::format(".after-streaming-act{}-cons{}-max{}", request.window,
                                  request.interval, request.stream.max_points));
}

}  // namespace
}  // namespace shoal::apps

int main(int argc, char** argv) {
  using namespace shoal::apps;  // NOLINT(google-build-using-namespace)
  CommandLine line(
      "test_streaming_scenario",
      "Keeps a window of the latest rows of a file in an index, inserting and deleting "
      "at the same time, and writes DiskANN's dynamic index files. The tag of row j is "
      "j + 1.");
  Request request;
  request.stream.Declare(line);
  line.Required(flags::kActiveWindow, &request.window);
  line.Required(flags::kConsolidateInterval, &request.interval);
  line.Optional(flags::kInsertThreads, &request.insert_threads);
  line.Optional(flags::kConsolidateThreads, &request.consolidate_threads);
  return line.Run(argc, argv, [&] { return Go(std::move(request)); });
}
