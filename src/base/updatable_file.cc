#include "base/updatable_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace shoal {
namespace {

// Linux transfers at most 2 GiB in one call.
constexpr size_t kMaxBytesPerCall = size_t{1} << 30;

// The name of a new file is on the disk.
Status SyncFolderOf(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.parent_path();
  const FileDescriptor fd(
      open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || fsync(fd.get()) != 0) return IoError(path, "sync the folder", errno);
  return {};
}

}  // namespace

Result<UpdatableFile> UpdatableFile::Open(const std::filesystem::path& path) {
  UpdatableFile file;
  file.path_ = path;
  file.fd_ = FileDescriptor(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666));
  if (file.fd_.get() < 0) return IoError(path, "open for writing", errno);
  struct stat status = {};
  if (fstat(file.fd_.get(), &status) != 0) return IoError(path, "stat", errno);
  if (!S_ISREG(status.st_mode))
    return Mismatch(ErrorCode::kIo, path, "type", "a regular file", "another kind");
  int refused = 0;
  do {
    refused = flock(file.fd_.get(), LOCK_EX | LOCK_NB);
  } while (refused != 0 && errno == EINTR);
  if (refused != 0 && errno == EWOULDBLOCK)
    return Mismatch(ErrorCode::kIo, path, "lock", "a file that is not open", "one that is in use");
  if (status.st_size == 0) {
    if (Status synced = SyncFolderOf(path); !synced) return tl::unexpected(synced.error());
  }
  return file;
}

Result<uint64_t> UpdatableFile::Size() const {
  struct stat status = {};
  if (fstat(fd_.get(), &status) != 0) return IoError(path_, "stat", errno);
  return static_cast<uint64_t>(status.st_size);
}

Status UpdatableFile::ReadAt(uint64_t offset, void* out, size_t bytes) const {
  char* const to = static_cast<char*>(out);
  size_t done = 0;
  while (done < bytes) {
    const ssize_t n = pread(fd_.get(), to + done, std::min(bytes - done, kMaxBytesPerCall),
                            static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IoError(path_, "read", errno);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  std::memset(to + done, 0, bytes - done);
  return {};
}

Status UpdatableFile::WriteAt(uint64_t offset, const void* data, size_t bytes) {
  const char* const from = static_cast<const char*>(data);
  size_t done = 0;
  while (done < bytes) {
    const ssize_t n = pwrite(fd_.get(), from + done, std::min(bytes - done, kMaxBytesPerCall),
                             static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IoError(path_, "write", errno);
    done += static_cast<size_t>(n);
  }
  return {};
}

Status UpdatableFile::Allocate(uint64_t bytes) {
  const Result<uint64_t> size = Size();
  if (!size) return tl::unexpected(size.error());
  if (*size >= bytes) return {};
  int refused = 0;
  do {
    refused = fallocate(fd_.get(), 0, static_cast<off_t>(*size), static_cast<off_t>(bytes - *size));
  } while (refused != 0 && errno == EINTR);
  if (refused != 0 && errno == EOPNOTSUPP)
    refused = ftruncate(fd_.get(), static_cast<off_t>(bytes));
  if (refused != 0) return IoError(path_, "grow", errno);
  return {};
}

Status UpdatableFile::Sync() {
  if (fdatasync(fd_.get()) != 0) return IoError(path_, "sync", errno);
  return {};
}

}  // namespace shoal
