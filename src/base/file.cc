#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <new>
#include <span>
#include <system_error>
#include <utility>

namespace shoal {
namespace {

// Small appends are gathered up to this many bytes; larger ones go to the system as they are.
constexpr size_t kBufferBytes = size_t{1} << 18;
// Linux transfers at most 2 GiB in one call.
constexpr size_t kMaxBytesPerCall = size_t{1} << 30;
// What a source gives is kept in pieces of this size.
constexpr size_t kPiece = size_t{1} << 20;

std::string SystemMessage(int error) { return std::generic_category().message(error); }

std::string_view KindOfFile(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  if (S_ISFIFO(mode)) return "a pipe";
  return "a special file";
}

constexpr std::string_view kTemporaryMark = ".tmp-";

// Where `target` is written: beside it, its name cut where both would be too long.
std::filesystem::path WithSuffix(const std::filesystem::path& target, const std::string& suffix) {
  const std::string name = target.filename().string();
  std::filesystem::path path = target;
  return path.replace_filename(name.substr(0, NAME_MAX - suffix.size()) + suffix);
}

// Whether this descriptor is of the file that has this name now.
bool IsStill(int fd, const std::filesystem::path& path) {
  struct stat ours = {}, there = {};
  return fstat(fd, &ours) == 0 && lstat(path.c_str(), &there) == 0 && ours.st_ino == there.st_ino &&
         ours.st_dev == there.st_dev;
}

// False: another process holds the lock. Where the file system has no locks: `without`.
bool TryLock(int fd, bool without) {
  int refused = 0;
  do {
    refused = flock(fd, LOCK_EX | LOCK_NB);
  } while (refused != 0 && errno == EINTR);
  if (refused == 0) return true;
  return errno != EWOULDBLOCK && without;
}

// A file of this process beside `target`, locked. One that a process of the same number left behind
// (in a container it is always the same) is passed over, and so is one that another process removed
// before it was locked. -1, and errno: the system refuses, or takes each one away.
int OpenBeside(const std::filesystem::path& target, std::filesystem::path& temporary) {
  static std::atomic<uint64_t> counter{0};
  constexpr int kTries = 1000;
  for (int i = 0; i < kTries; ++i) {
    temporary = WithSuffix(target, std::string(kTemporaryMark) + std::to_string(getpid()) + "-" +
                                       std::to_string(counter.fetch_add(1)));
    const int fd = open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST) continue;
    if (fd < 0 || (TryLock(fd, true) && IsStill(fd, temporary))) return fd;
    close(fd);
  }
  errno = EBUSY;
  return -1;
}

// Whether OpenBeside could have named a file so.
bool IsTemporaryOf(const std::filesystem::path& target, const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const size_t mark = name.rfind(kTemporaryMark);
  if (mark == std::string::npos) return false;
  const std::string suffix = name.substr(mark);
  std::string_view numbers = suffix;
  numbers.remove_prefix(kTemporaryMark.size());
  const size_t dash = numbers.find('-');
  const auto is_number = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  };
  return dash != std::string_view::npos && is_number(numbers.substr(0, dash)) &&
         is_number(numbers.substr(dash + 1)) && WithSuffix(target, suffix) == path;
}

// Removes what killed processes left of earlier writes of `target`: no process holds its lock. What
// fails leaves a file there, which is no error.
void RemoveLeftovers(const std::filesystem::path& target) {
  std::error_code error;
  const std::filesystem::path folder = target.parent_path();
  std::filesystem::directory_iterator entries(folder.empty() ? "." : folder, error), end;
  for (; !error && entries != end; entries.increment(error)) {
    const std::filesystem::path path = folder / entries->path().filename();
    if (!IsTemporaryOf(target, path)) continue;
    const FileDescriptor fd(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (fd.get() >= 0 && TryLock(fd.get(), false) && IsStill(fd.get(), path)) unlink(path.c_str());
  }
}

}  // namespace

tl::unexpected<Error> Mismatch(ErrorCode code, const std::filesystem::path& file,
                               std::string_view field, std::string_view expected,
                               std::string_view found) {
  return Mismatch(code, file.string().append(": ").append(field), expected, found);
}

tl::unexpected<Error> IoError(const std::filesystem::path& file, std::string_view action,
                              int error) {
  const ErrorCode code = error == ENOENT ? ErrorCode::kFileNotFound : ErrorCode::kIo;
  return MakeError(code,
                   file.string() + ": cannot " + std::string(action) + ": " + SystemMessage(error));
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

Result<InputFile> InputFile::Gather(const ByteSource& source) {
  InputFile file;
  file.path_ = "stream";
  try {
    for (;;) {
      const size_t in_last = file.size_ % kPiece;
      if (in_last == 0) file.pieces_.emplace_back(kPiece);
      const std::span<std::byte> room = std::span(file.pieces_.back()).subspan(in_last);
      const Result<size_t> n = source(room);
      if (!n) return tl::unexpected(n.error());
      if (*n == 0) return file;
      if (*n > room.size())
        return Mismatch(ErrorCode::kInvalidArgument, "source",
                        "at most " + std::to_string(room.size()) + " bytes", std::to_string(*n));
      file.size_ += *n;
    }
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "stream: no memory for more than its first " +
                                                  std::to_string(file.size_) + " bytes");
  }
}

ssize_t InputFile::ReadSome(uint64_t offset, std::byte* out, size_t bytes) const {
  if (fd_.get() >= 0)
    return pread(fd_.get(), out, std::min(bytes, kMaxBytesPerCall), static_cast<off_t>(offset));
  if (offset >= size_) return 0;
  const size_t in_piece = offset % kPiece;
  const size_t n = std::min({bytes, kPiece - in_piece, static_cast<size_t>(size_ - offset)});
  std::copy_n(pieces_[offset / kPiece].data() + in_piece, n, out);
  return static_cast<ssize_t>(n);
}

Status InputFile::ReadAt(uint64_t offset, void* out, size_t bytes, std::string_view field) const {
  size_t done = 0;
  while (done < bytes) {
    const ssize_t n = ReadSome(offset + done, static_cast<std::byte*>(out) + done, bytes - done);
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

Result<MappedFile> InputFile::Map() const {
  if (size_ == 0) return MappedFile();
  void* const data = mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd_.get(), 0);
  if (data == MAP_FAILED) return IoError(path_, "map", errno);
  return MappedFile(static_cast<const std::byte*>(data), size_);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::ReadSinglePages() const {
  if (data_ != nullptr) (void)madvise(const_cast<std::byte*>(data_), size_, MADV_RANDOM);
}

void MappedFile::WillNeed(const std::byte* bytes, size_t n) {
  constexpr uintptr_t kPage = 4096;
  const size_t before = reinterpret_cast<uintptr_t>(bytes) % kPage;
  (void)madvise(const_cast<std::byte*>(bytes) - before, before + n, MADV_WILLNEED);
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
  if (file.target_.filename().empty())
    return MakeError(ErrorCode::kInvalidArgument,
                     "path: expected the name of a file, found \"" + path.string() + "\"");
  // Opened before the work: a folder that cannot be synced refuses before anything is replaced.
  const std::filesystem::path folder = file.target_.parent_path();
  file.folder_ = FileDescriptor(
      open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::filesystem::path temporary;
  if (file.folder_.get() >= 0) file.fd_ = FileDescriptor(OpenBeside(file.target_, temporary));
  if (file.folder_.get() < 0 || file.fd_.get() < 0) {
    return IoError(path, "create the file", errno);
  }
  file.temporary_ = std::move(temporary);
  file.lock_ = FileDescriptor(fcntl(file.fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (file.lock_.get() < 0)
    return MakeError(ErrorCode::kIo, path.string() + ": cannot lock: " + SystemMessage(errno));
  RemoveLeftovers(file.target_);
  return file;
}

Result<OutputFile> OutputFile::CreateUnnamed() {
  OutputFile file;
  file.path_ = "stream";
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(error);
  if (!error)
    file.fd_ = FileDescriptor(open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600));
  if (file.fd_.get() < 0) file.fd_ = FileDescriptor(memfd_create("shoal", MFD_CLOEXEC));
  if (file.fd_.get() < 0)
    return MakeError(ErrorCode::kIo,
                     "stream: cannot create a temporary file: " + SystemMessage(errno));
  return file;
}

Result<InputFile> OutputFile::TurnIntoInput() && {
  if (auto flushed = Flush(); !flushed) return tl::unexpected(flushed.error());
  InputFile file;
  file.path_ = path_;
  file.fd_ = std::move(fd_);
  struct stat status = {};
  if (fstat(file.fd_.get(), &status) != 0) return IoError(path_, "stat", errno);
  file.size_ = static_cast<uint64_t>(status.st_size);
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::move(other.fd_)),
      lock_(std::move(other.lock_)),
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
    const ssize_t n = write(fd_.get(), in, std::min(bytes, kMaxBytesPerCall));
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

Status OutputFile::ReadAt(uint64_t offset, void* out, size_t bytes) {
  if (auto flushed = Flush(); !flushed) return flushed;
  auto* to = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t n = pread(fd_.get(), to, bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Refused("read back", n < 0 ? errno : EIO);
    to += n;
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
