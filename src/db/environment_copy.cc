// A copy of a database's file, while others read and write it.
#include <lmdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>
#include <vector>

#include "base/long_work.h"
#include "db/environment.h"

namespace shoal {

Status Environment::Copy(const std::filesystem::path& path, bool compact,
                         const BatchOptions& batch) {
  std::error_code unreadable;  // Create says what is wrong then.
  if (std::filesystem::exists(path, unreadable))
    return MakeError(ErrorCode::kInvalidArgument, path.string() + ": there is such a file");
  Result<OutputFile> out = OutputFile::Create(path);
  if (!out) return tl::unexpected(out.error());
  const unsigned flags = compact ? MDB_CP_COMPACT : 0;
  if (batch.progress || batch.stop.stop_possible()) {
    if (Status ok = CopyInSteps(*out, flags, batch); !ok) return ok;
  } else if (const int code = mdb_env_copyfd2(env_, out->descriptor(), flags); code != 0) {
    return Refused(("copy to " + path.string()).c_str(), code);
  }
  return out->Commit();
}

// LMDB copies in one call that nothing ends but an error of its descriptor. So a thread lets it
// write to a socket, which is shut down to end it. (A pipe would stay open in the child of a fork.)
Status Environment::CopyInSteps(OutputFile& out, unsigned flags, const BatchOptions& batch) {
  const Result<EnvironmentStats> stats = Stat();
  if (!stats) return tl::unexpected(stats.error());
  LongWork work(path_.string() + ": copy", stats->file_bytes, batch);
  std::vector<std::byte> buffer(size_t{1} << 20);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return Refused("copy", errno);
  const FileDescriptor from(ends[0]), to(ends[1]);
  int code = 0;
  Status ok;
  try {
    std::thread copier([&] {
      // A write must not be interrupted, and one to the socket that is shut down is an error.
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_BLOCK, &all, nullptr);
      code = mdb_env_copyfd2(env_, to.get(), flags);
      shutdown(to.get(), SHUT_WR);
    });
    struct Ending {  // Also where something throws.
      ~Ending() {
        shutdown(socket, SHUT_RDWR);
        thread.join();
      }
      int socket;
      std::thread& thread;
    };
    const Ending ending{from.get(), copier};
    for (ssize_t n = 0; ok && (n = read(from.get(), buffer.data(), buffer.size())) != 0;) {
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        ok = Refused("copy", errno);
      } else {
        ok = out.Append(buffer.data(), static_cast<size_t>(n));
        if (ok) ok = work.Did(static_cast<size_t>(n));
      }
    }
  } catch (const std::system_error& error) {
    return Refused("copy", error.code().value());
  }
  if (ok && code != 0) ok = Refused("copy", code);
  if (ok) work.End();
  return ok;
}

}  // namespace shoal
