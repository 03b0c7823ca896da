// Memory held to a limit where no control group can be made: a thread that takes pages of files out
// of memory, the page cache included, as soon as they and the process's anonymous memory are more.
//
// It goes round over all pages and takes what it comes to, used lately or not: the system's own
// rule keeps some of the pages that are used again. So what is read again and again is to be in
// anonymous memory, or hits are fewer than under a real limit. What is taken is read from the disk
// again: no copy stays on this machine.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "jobs/anonymous_memory.h"

namespace shoal::bench {

class HeldMemory {
 public:
  // Of files that are there. A map of a file is known from when the file grows. `limit_mb`: pages
  // of these files, and anonymous memory beyond `before_mb`.
  HeldMemory(const std::vector<std::filesystem::path>& files, double limit_mb, double before_mb)
      : limit_mb_(limit_mb), before_mb_(before_mb) {
    for (const auto& path : files) files_.emplace_back(path);
    Drop();
    keeper_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        Hold();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }

  // Takes all pages of the files. Between searches.
  void Drop() {
    for (File& file : files_) file.Take(0, file.Pages());
  }
  // Ends it. The most that there was at once, in MB.
  double StopMb() {
    keeper_.request_stop();
    keeper_.join();
    return most_mb_;
  }

 private:
  static constexpr size_t kPage = 4096;
  static constexpr size_t kAtOnce = 16;  // Pages that are taken with one call.

  struct File {
    explicit File(const std::filesystem::path& path)
        : fd(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
      std::error_code gone;
      name = std::filesystem::canonical(path, gone).string();
    }
    File(File&& other) noexcept { *this = std::move(other); }
    File& operator=(File&& other) noexcept {
      std::swap(fd, other.fd);
      std::swap(name, other.name);
      std::swap(maps, other.maps);
      std::swap(own, other.own);
      std::swap(own_bytes, other.own_bytes);
      std::swap(resident, other.resident);
      return *this;
    }
    ~File() {
      if (own != nullptr) munmap(own, own_bytes);
      if (fd >= 0) close(fd);
    }

    // Where the process has mapped it.
    void FindMaps() {
      maps.clear();
      std::ifstream lines("/proc/self/maps");
      for (std::string line; std::getline(lines, line);) {
        if (!line.ends_with(" " + name)) continue;
        std::istringstream fields(line);
        Map map;
        char dash = 0;
        std::string rights;
        fields >> std::hex >> map.begin >> dash >> map.end >> rights >> map.offset;
        maps.push_back(map);
      }
    }
    // How many pages the file has now. Maps them, without reading one: mincore asks for a map.
    size_t Pages() {
      const off_t size = lseek(fd, 0, SEEK_END);
      const size_t bytes = size <= 0 ? 0 : static_cast<size_t>(size);
      if (bytes == own_bytes) return (bytes + kPage - 1) / kPage;
      if (own != nullptr) munmap(own, own_bytes);
      own = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
      if (own == MAP_FAILED) own = nullptr;
      own_bytes = own == nullptr ? 0 : bytes;
      FindMaps();
      return (own_bytes + kPage - 1) / kPage;
    }
    // Sets `resident`, and returns how many pages are in memory.
    size_t Look() {
      resident.resize(Pages());
      if (resident.empty() || mincore(own, own_bytes, resident.data()) != 0) return 0;
      size_t n = 0;
      for (unsigned char& page : resident) n += page &= 1;
      return n;
    }
    void Take(size_t first, size_t n) const {
      const uintptr_t begin = first * kPage, end = begin + n * kPage;
      for (const Map& map : maps) {
        const uintptr_t from = std::max(begin, map.offset);
        const uintptr_t to = std::min(end, map.offset + (map.end - map.begin));
        if (from < to)
          madvise(reinterpret_cast<void*>(map.begin + (from - map.offset)), to - from,
                  MADV_DONTNEED);
      }
      (void)posix_fadvise(fd, static_cast<off_t>(begin), static_cast<off_t>(end - begin),
                          POSIX_FADV_DONTNEED);
    }

    struct Map {
      uintptr_t begin = 0, end = 0, offset = 0;
    };
    int fd = -1;
    std::string name;
    std::vector<Map> maps;
    void* own = nullptr;
    size_t own_bytes = 0;
    std::vector<unsigned char> resident;
  };

  void Hold() {
    constexpr double kPagesPerMb = (1 << 20) / double{kPage};
    size_t there = 0, all = 0;
    for (File& file : files_) {
      there += file.Look();
      all += file.resident.size();
    }
    const double anonymous_mb = ResidentAnonymousMb() - before_mb_;
    most_mb_ = std::max(most_mb_, anonymous_mb + static_cast<double>(there) / kPagesPerMb);
    const double may_mb = std::max(0.0, limit_mb_ - anonymous_mb);
    const auto may = static_cast<size_t>(may_mb * kPagesPerMb);
    size_t taken = 0;
    for (size_t seen = 0; seen < all && there > may + taken; seen += kAtOnce)
      taken += TakeNext(all);
  }

  // What is behind the hand, and moves it.
  size_t TakeNext(size_t all) {
    if (hand_ >= all) hand_ = 0;
    size_t first = hand_;
    hand_ += kAtOnce;
    for (File& file : files_) {
      if (first >= file.resident.size()) {
        first -= file.resident.size();
        continue;
      }
      const auto begin = file.resident.begin() + static_cast<ptrdiff_t>(first);
      const size_t pages = std::min(kAtOnce, file.resident.size() - first);
      const auto n = static_cast<size_t>(
          std::count(begin, begin + static_cast<ptrdiff_t>(pages), static_cast<unsigned char>(1)));
      if (n > 0) file.Take(first, pages);
      return n;
    }
    return 0;
  }

  const double limit_mb_, before_mb_;
  std::vector<File> files_;
  size_t hand_ = 0;
  double most_mb_ = 0;  // Of the keeper, until it is joined.
  std::jthread keeper_;
};

}  // namespace shoal::bench
