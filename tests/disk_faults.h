// The calls by which LMDB writes a file, made to fail, to be held, or to be a process's last, and
// recorded: functions in front of the C library's. For one source of a program.
#pragma once

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "database_calls.h"

namespace shoal {

// kKill: the call is made, then the process is killed. kHold: it is made when nothing fails any
// more.
enum class Fault { kNone, kFullDisk, kIoError, kShortWrite, kKill, kHold };

// A write to the watched file, or a sync of it.
struct DiskCall {
  uint64_t offset = 0;
  std::vector<char> bytes;  // Empty: a sync.
  bool is_durable = false;  // Written through (O_DSYNC).
  uint32_t calls = 0;       // Durable calls of the database when it returned.
};

struct Disk {
  std::mutex mutex;
  dev_t device = 0;
  ino_t inode = 0;        // 0: nothing is watched.
  uint64_t calls = 0;     // Of the watched file.
  uint64_t fails_at = 0;  // The call that fails; 0: none.
  uint64_t fails = 1;     // And so many in a row.
  Fault fault = Fault::kNone;
  uint64_t failed = 0;
  std::condition_variable changed;  // failed, fails_at.
  bool records = false;
  std::vector<DiskCall> recorded;
  const NotedCalls* noted = nullptr;
};
inline Disk& TheDisk() {
  static auto* const disk = new Disk;
  return *disk;
}

// A call of the watched file is counted; what it shall do.
inline Fault Meet(int fd) {
  Disk& disk = TheDisk();
  const int kept = errno;
  struct stat info;
  const std::lock_guard lock(disk.mutex);
  if (disk.inode == 0 || fstat(fd, &info) != 0 || info.st_ino != disk.inode ||
      info.st_dev != disk.device) {
    errno = kept;
    return Fault::kNone;
  }
  ++disk.calls;
  if (disk.fails_at == 0 || disk.calls < disk.fails_at || disk.calls >= disk.fails_at + disk.fails)
    return Fault::kNone;
  ++disk.failed;
  disk.changed.notify_all();
  return disk.fault;
}

inline void HoldIf(Fault fault) {
  if (fault != Fault::kHold) return;
  Disk& disk = TheDisk();
  std::unique_lock lock(disk.mutex);
  disk.changed.wait(lock, [&] { return disk.fails_at == 0; });
}

inline void NoteWrite(int fd, const iovec* parts, int n, ssize_t written, uint64_t offset) {
  Disk& disk = TheDisk();
  const int kept = errno;
  struct stat info;
  const std::lock_guard lock(disk.mutex);
  if (disk.records && written >= 0 && disk.inode != 0 && fstat(fd, &info) == 0 &&
      info.st_ino == disk.inode) {
    DiskCall call;
    call.offset = offset;
    call.is_durable = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
    call.calls = disk.noted->durable.load();
    auto left = static_cast<size_t>(written);
    for (int i = 0; i < n && left > 0; ++i) {
      const size_t some = std::min(left, parts[i].iov_len);
      const auto* const bytes = static_cast<const char*>(parts[i].iov_base);
      call.bytes.insert(call.bytes.end(), bytes, bytes + some);
      left -= some;
    }
    disk.recorded.push_back(std::move(call));
  }
  errno = kept;
}

inline ssize_t FailedWrite(Fault fault) {
  errno = fault == Fault::kFullDisk ? ENOSPC : EIO;
  return -1;
}

inline void KillIf(Fault fault) {
  if (fault == Fault::kKill) kill(getpid(), SIGKILL);
}

template <class Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace shoal

using shoal::Fault;

#define SHOAL_IN_FRONT __attribute__((visibility("default")))

extern "C" {

SHOAL_IN_FRONT ssize_t pwrite(int fd, const void* bytes, size_t n, off_t offset) {
  static auto* const real = shoal::Real<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  const Fault fault = shoal::Meet(fd);
  shoal::HoldIf(fault);
  if (fault == Fault::kFullDisk || fault == Fault::kIoError) return shoal::FailedWrite(fault);
  const ssize_t written = real(fd, bytes, fault == Fault::kShortWrite ? n / 2 : n, offset);
  shoal::KillIf(fault);
  const iovec part{const_cast<void*>(bytes), n};
  shoal::NoteWrite(fd, &part, 1, written, static_cast<uint64_t>(offset));
  return written;
}

SHOAL_IN_FRONT ssize_t writev(int fd, const iovec* parts, int n) {
  static auto* const real = shoal::Real<ssize_t(int, const iovec*, int)>("writev");
  const Fault fault = shoal::Meet(fd);
  shoal::HoldIf(fault);
  if (fault == Fault::kFullDisk || fault == Fault::kIoError) return shoal::FailedWrite(fault);
  const off_t offset = lseek(fd, 0, SEEK_CUR);
  const ssize_t written = real(fd, parts, fault == Fault::kShortWrite ? (n + 1) / 2 : n);
  shoal::KillIf(fault);
  shoal::NoteWrite(fd, parts, n, written, static_cast<uint64_t>(offset));
  return written;
}

SHOAL_IN_FRONT int fdatasync(int fd) {
  static auto* const real = shoal::Real<int(int)>("fdatasync");
  const Fault fault = shoal::Meet(fd);
  shoal::HoldIf(fault);
  shoal::KillIf(fault);
  if (fault == Fault::kFullDisk || fault == Fault::kIoError || fault == Fault::kShortWrite)
    return static_cast<int>(shoal::FailedWrite(fault));
  (void)real;  // Power does not fail while this runs; what it would keep is recorded.
  shoal::NoteWrite(fd, nullptr, 0, 0, 0);
  return 0;
}

}  // extern "C"
