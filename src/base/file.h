// Files whose errors can be read: whole reads at an offset, and writes that appear whole or not at
// all. Every message begins with the file's name.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mismatch.h"
#include "shoal/result.h"
#include "shoal/stream.h"

namespace shoal {

// "<file>: <field>: expected <expected>, found <found>".
tl::unexpected<Error> Mismatch(ErrorCode code, const std::filesystem::path& file,
                               std::string_view field, std::string_view expected,
                               std::string_view found);

// "<file>: cannot <action>: <what the system says>". FileNotFound for ENOENT, else Io.
tl::unexpected<Error> IoError(const std::filesystem::path& file, std::string_view action,
                              int error);

// A file descriptor that closes itself.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.Release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return fd_; }
  int Release();

 private:
  int fd_ = -1;
};

// A whole file in memory, read-only: the system's page cache, shared by all processes that map it.
// A file that is cut while it is mapped raises SIGBUS where it is read; one that is replaced by
// rename stays as it was.
class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~MappedFile();

  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }

  // Hints to the system. A page that is not in memory is to be read alone;
  void ReadSinglePages() const;
  // and pages that have a part of these bytes of a map will be needed: they are read, and nothing
  // waits for that.
  static void WillNeed(const std::byte* bytes, size_t n);

 private:
  friend class InputFile;
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// A regular file, open for reading, or bytes in memory. Reads share no position: any thread may
// read at any time.
class InputFile {
 public:
  // FileNotFound, or Io for a directory, a device, or what the system refuses.
  static Result<InputFile> Open(const std::filesystem::path& path);
  // What the source gives until its end, in memory; messages call it "stream". Errors of the
  // source. InvalidArgument: it gives more than it was asked for. OutOfMemory.
  static Result<InputFile> Gather(const ByteSource& source);

  const std::filesystem::path& path() const { return path_; }
  // In bytes, when it was opened.
  uint64_t size() const { return size_; }
  // The `bytes` bytes at `offset`. Corrupt if the file ends before; `field` names them then.
  Status ReadAt(uint64_t offset, void* out, size_t bytes, std::string_view field) const;
  // All of it; not of bytes in memory. Io: the system refuses.
  Result<MappedFile> Map() const;

 private:
  friend class OutputFile;
  // Copies some of the bytes at `offset`. 0: there are none. Negative: refused, errno says why.
  ssize_t ReadSome(uint64_t offset, std::byte* out, size_t bytes) const;

  std::filesystem::path path_;
  FileDescriptor fd_;                           // None where the bytes are in memory:
  std::vector<std::vector<std::byte>> pieces_;  // Of kPiece bytes; the end of the last is unused.
  uint64_t size_ = 0;
};

// A file that is written beside its target, under a name of its own, and renamed over it when it is
// whole. Destroyed before that, it leaves the target as it was and no other file behind. A process
// that is killed in between leaves `<target>.tmp-<pid>-<n>`, which the next OutputFile of the
// target removes: it is locked (flock) while it is written.
class OutputFile {
 public:
  // FileNotFound: the folder is missing. Io: it refuses, or the target is a folder or a device.
  // InvalidArgument: the path names no file. A target that is a symbolic link keeps being one: the
  // file that it points to is replaced.
  static Result<OutputFile> Create(const std::filesystem::path& path);
  // A file without a name, of the system's temporary ones or, where these refuse, in memory. It
  // goes with the object: for what is written in no order before it is handed on. Not for Finish,
  // Publish and Commit. Io.
  static Result<OutputFile> CreateUnnamed();
  // What is in an unnamed file, to be read; messages call it "stream".
  Result<InputFile> TurnIntoInput() &&;
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  // For what writes to a descriptor by itself, from the beginning on; nothing is appended then.
  int descriptor() const { return fd_.get(); }

  Status Append(const void* data, size_t bytes);
  // Writes over what was appended at `offset`: for a header that says what comes behind it.
  Status Overwrite(uint64_t offset, const void* data, size_t bytes);
  // Reads back what was appended.
  Status ReadAt(uint64_t offset, void* out, size_t bytes);
  // Everything is on the disk, under the temporary name. Call once, before Publish.
  Status Finish();
  // The target is the new file. Several files of one whole are all finished before the first is
  // published, so that a full disk leaves the old ones in place.
  Status Publish();
  // Finish and Publish.
  Status Commit();

 private:
  OutputFile() = default;
  Status Flush();
  Status Refused(std::string_view action, int error) const;

  std::filesystem::path path_;       // As the caller named it, for messages.
  std::filesystem::path target_;     // Behind symbolic links.
  std::filesystem::path temporary_;  // Empty once renamed or moved from.
  FileDescriptor fd_;
  FileDescriptor lock_;    // A second one, which Finish does not close.
  FileDescriptor folder_;  // Of the target.
  std::vector<char> buffer_;
};

}  // namespace shoal
