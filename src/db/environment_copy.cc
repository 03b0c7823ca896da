// A copy of a database's file, while others read and write it.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <functional>
#include <system_error>
#include <thread>
#include <vector>

#include "base/long_work.h"
#include "db/environment.h"

namespace shoal {
namespace {

// LMDB copies in one call that nothing ends but an error of its descriptor. So a thread lets it
// write to a socket (a pipe would stay open in the child of a fork), and this one reads. To end the
// copy early, the socket refuses to wait for room: EAGAIN. (After EPIPE LMDB waits for a SIGPIPE,
// which a write that was waiting does not raise.)
class CopyingThread {
 public:
  // May throw system_error.
  CopyingThread(const std::function<int(int to)>& copy, int from, int to)
      : from_(from), to_(to), thread_([this, copy] {
          sigset_t all;  // LMDB takes an interrupted write for an error.
          sigfillset(&all);
          pthread_sigmask(SIG_BLOCK, &all, nullptr);
          code_ = copy(to_);
          shutdown(to_, SHUT_WR);
        }) {}
  ~CopyingThread() { End(); }
  CopyingThread(const CopyingThread&) = delete;
  CopyingThread& operator=(const CopyingThread&) = delete;

  // Waits for the thread's end; returns LMDB's result. What is left is read and dropped, with
  // pauses so that the socket fills up. (If it does not, the copy ends when all is read.)
  int End() {
    if (!thread_.joinable()) return code_;
    fcntl(to_, F_SETFL, O_NONBLOCK);
    std::byte rest[4096];
    for (ssize_t n = 1; n > 0 || (n < 0 && errno == EINTR);) {
      n = read(from_, rest, sizeof(rest));
      if (n > 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    thread_.join();
    return code_;
  }

 private:
  const int from_, to_;
  int code_ = 0;
  std::thread thread_;
};

}  // namespace

Status Environment::Copy(const std::filesystem::path& path, bool compact,
                         const BatchOptions& batch) {
  std::error_code unreadable;  // Create says what is wrong then.
  if (std::filesystem::exists(path, unreadable))
    return MakeError(ErrorCode::kInvalidArgument, path.string() + ": there is such a file");
  Result<OutputFile> out = OutputFile::Create(path);
  if (!out) return tl::unexpected(out.error());
  if (batch.progress || batch.stop.stop_possible()) {
    if (Status ok = CopyInSteps(*out, compact, batch); !ok) return ok;
  } else if (const int code = CopyTo(out->descriptor(), compact); code != 0) {
    return Refused(("copy to " + path.string()).c_str(), code);
  }
  return out->Commit();
}

Status Environment::CopyInSteps(OutputFile& out, bool compact, const BatchOptions& batch) {
  const Result<EnvironmentStats> stats = Stat();
  if (!stats) return tl::unexpected(stats.error());
  LongWork work(path_.string() + ": copy", stats->file_bytes, batch);
  std::vector<std::byte> buffer(size_t{1} << 20);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return Refused("copy", errno);
  const FileDescriptor from(ends[0]), to(ends[1]);
  try {
    const auto copy = [&](int descriptor) { return CopyTo(descriptor, compact); };
    CopyingThread copier(copy, from.get(), to.get());
    for (ssize_t n = 0; (n = read(from.get(), buffer.data(), buffer.size())) != 0;) {
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Refused("copy", errno);
      const auto bytes = static_cast<size_t>(n);
      if (Status ok = out.Append(buffer.data(), bytes); !ok) return ok;
      if (Status ok = work.Did(bytes); !ok) return ok;
    }
    if (const int code = copier.End(); code != 0) return Refused("copy", code);
  } catch (const std::system_error& error) {
    return Refused("copy", error.code().value());
  }
  work.End();
  return {};
}

}  // namespace shoal
