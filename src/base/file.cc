#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <system_error>
#include <utility>

namespace shoal {
namespace {

// Small appends are gathered up to this many bytes; larger ones go to the system as they are.
constexpr size_t kBufferBytes = size_t{1} << 18;
// Linux transfers at most 2 GiB in one call.
constexpr size_t kMostBytesPerCall = size_t{1} << 30;

std::string SystemMessage(int error) { return std::generic_category().message(error); }

tl::unexpected<Error> IoError(const std::filesystem::path& file, std::string_view action,
                              int error) {
  const ErrorCode code = error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  return MakeError(code,
                   file.string() + ": cannot " + std::string(action) + ": " + SystemMessage(error));
}

std::string_view KindOfFile(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  if (S_ISFIFO(mode)) return "a pipe";
  return "a special file";
}

// A file of this process beside `target`, whose name is cut where both would be too long. One that
// a process of the same number left behind (in a container it is always the same) is passed over.
int OpenBeside(const std::filesystem::path& target, std::filesystem::path& temporary) {
  static std::atomic<uint64_t> counter{0};
  for (;;) {
    const std::string suffix =
        ".tmp-" + std::to_string(getpid()) + "-" + std::to_string(counter.fetch_add(1));
    const std::string name = target.filename().string();
    temporary = target;
    temporary.replace_filename(name.substr(0, NAME_MAX - suffix.size()) + suffix);
    const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
}

}  // namespace

tl::unexpected<Error> Mismatch(ErrorCode code, const std::filesystem::path& file,
                               std::string_view field, std::string_view expected,
                               std::string_view found) {
  std::string message = file.string();
  message.append(": ").append(field).append(": expected ").append(expected);
  message.append(", found ").append(found);
  return MakeError(code, std::move(message));
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) close(fd_);
    fd_ = other.Release();
  }
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

int FileDescriptor::Release() { return std::exchange(fd_, -1); }

Result<InputFile> InputFile::Open(const std::filesystem::path& path) {
  InputFile file;
  file.path_ = path;
  // O_NONBLOCK: opening a pipe must not wait for its writer; regular files ignore it.
  file.fd_ = FileDescriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd_.get() < 0) return IoError(path, "open for reading", errno);
  struct stat status = {};
  if (fstat(file.fd_.get(), &status) != 0) return IoError(path, "stat", errno);
  if (!S_ISREG(status.st_mode)) {
    return Mismatch(ErrorCode::kIo, path, "type", "a regular file", KindOfFile(status.st_mode));
  }
  file.size_ = static_cast<uint64_t>(status.st_size);
  return file;
}

Status InputFile::ReadAt(uint64_t offset, void* out, size_t bytes, std::string_view field) const {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t n =
        pread(fd_.get(), static_cast<char*>(out) + done, std::min(bytes - done, kMostBytesPerCall),
              static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IoError(path_, "read", errno);
    if (n == 0) {
      return Mismatch(
          ErrorCode::kCorrupt, path_, field,
          std::to_string(bytes) + " bytes at offset " + std::to_string(offset),
          done == 0 ? "the end of the file" : std::to_string(done) + " bytes before its end");
    }
    done += static_cast<size_t>(n);
  }
  return {};
}

Result<OutputFile> OutputFile::Create(const std::filesystem::path& path) {
  OutputFile file;
  file.path_ = path;
  file.target_ = path;
  std::error_code error;
  if (std::filesystem::is_symlink(path, error)) {
    file.target_ = std::filesystem::canonical(path, error);
    if (error) return IoError(path, "follow the symbolic link", error.value());
  }
  struct stat status = {};
  if (stat(file.target_.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    // Renaming over a device would replace the device.
    return Mismatch(ErrorCode::kIo, path, "output", "a regular file or nothing",
                    KindOfFile(status.st_mode));
  }
  // Opened before the work: a folder that cannot be synced refuses before anything is replaced.
  const std::filesystem::path folder = file.target_.parent_path();
  file.folder_ = FileDescriptor(
      open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::filesystem::path temporary;
  if (file.folder_.get() >= 0) file.fd_ = FileDescriptor(OpenBeside(file.target_, temporary));
  if (file.folder_.get() < 0 || file.fd_.get() < 0) {
    return MakeError(ErrorCode::kIo,
                     path.string() + ": cannot create the file: " + SystemMessage(errno));
  }
  file.temporary_ = std::move(temporary);
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::move(other.fd_)),
      folder_(std::move(other.folder_)),
      buffer_(std::move(other.buffer_)) {}

OutputFile::~OutputFile() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

Status OutputFile::Refused(std::string_view action, int error) const {
  return MakeError(ErrorCode::kIo, path_.string() + ": cannot " + std::string(action) + ": " +
                                       SystemMessage(error));
}

Status OutputFile::Append(const void* data, size_t bytes) {
  const char* in = static_cast<const char*>(data);
  if (buffer_.size() + bytes <= kBufferBytes) {
    buffer_.insert(buffer_.end(), in, in + bytes);
    return {};
  }
  if (auto flushed = Flush(); !flushed) return flushed;
  if (bytes <= kBufferBytes) {
    buffer_.assign(in, in + bytes);
    return {};
  }
  while (bytes > 0) {
    const ssize_t n = write(fd_.get(), in, std::min(bytes, kMostBytesPerCall));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Refused("write", errno);
    in += n;
    bytes -= static_cast<size_t>(n);
  }
  return {};
}

Status OutputFile::Overwrite(uint64_t offset, const void* data, size_t bytes) {
  if (auto flushed = Flush(); !flushed) return flushed;
  const char* in = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = pwrite(fd_.get(), in, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Refused("write", errno);
    in += n;
    offset += static_cast<uint64_t>(n);
    bytes -= static_cast<size_t>(n);
  }
  return {};
}

Status OutputFile::Flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t n = write(fd_.get(), buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Refused("write", errno);
    done += static_cast<size_t>(n);
  }
  buffer_.clear();
  return {};
}

Status OutputFile::Finish() {
  if (auto flushed = Flush(); !flushed) return flushed;
  if (fsync(fd_.get()) != 0) return Refused("sync to the disk", errno);
  if (close(fd_.Release()) != 0) return Refused("close", errno);
  return {};
}

Status OutputFile::Publish() {
  if (rename(temporary_.c_str(), target_.c_str()) != 0) return Refused("rename", errno);
  temporary_.clear();
  // Without this a rename may be lost in a crash although the file's bytes are safe. Some file
  // systems cannot sync a folder, and say EINVAL; there is nothing better to do there.
  if (fsync(folder_.get()) != 0 && errno != EINVAL) return Refused("sync the folder", errno);
  return {};
}

Status OutputFile::Commit() {
  if (auto finished = Finish(); !finished) return finished;
  return Publish();
}

}  // namespace shoal
