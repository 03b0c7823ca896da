// Reads by io_uring: one ring for each reader, so that no two threads share one.
#include "features/batch_reader.h"

#if defined(SHOAL_HAVE_URING)

#include <liburing.h>

#include <cerrno>
#include <new>
#include <vector>

#include "base/file.h"
#include "base/number.h"

namespace shoal {
namespace {

class UringReader final : public BatchReader {
 public:
  explicit UringReader(const BatchSource& source) : source_(source) {}
  ~UringReader() override {
    if (is_open_) io_uring_queue_exit(&ring_);
  }
  // False: the kernel refuses, or there is no memory.
  bool Init() {
    try {
      again_.reserve(source_.options.queue_depth);
    } catch (const std::bad_alloc&) {
      return false;
    }
    is_open_ = io_uring_queue_init(source_.options.queue_depth, &ring_, 0) == 0;
    return is_open_;
  }

  Status Read(std::span<FileRead> reads) override {
    if (!is_open_ && !Init())
      return MakeError(ErrorCode::kIo, source_.path.string() + ": the kernel refuses a ring");
    reads_ = reads;
    next_ = 0;
    again_.clear();
    failed_ = {};
    while ((failed_.error == 0 && HasMore()) || queued_ + submitted_ > 0) {
      if (failed_.error == 0) Queue();
      if (!Submit()) break;
      Reap();
    }
    if (failed_.error == 0) return {};
    return IoError(source_.path, "read at offset " + Written(failed_.offset), failed_.error);
  }

 private:
  bool HasMore() const { return next_ < reads_.size() || !again_.empty(); }

  void Queue() {
    while (HasMore() && queued_ + submitted_ < source_.options.queue_depth) {
      io_uring_sqe* const sqe = io_uring_get_sqe(&ring_);
      if (sqe == nullptr) break;
      size_t i = next_;
      if (again_.empty()) {
        ++next_;
      } else {
        i = again_.back();
        again_.pop_back();
      }
      const FileRead& read = reads_[i];
      io_uring_prep_read(sqe, source_.fd, read.out, static_cast<unsigned>(read.bytes), read.offset);
      io_uring_sqe_set_data(sqe, &reads_[i]);
      ++queued_;
    }
    source_.counters->NoteQueueDepth(queued_ + submitted_);
  }

  // Hands over what is queued, and waits for one read at least. False: the ring is of no use any
  // more, and no read is under way.
  bool Submit() {
    const int n = io_uring_submit_and_wait(&ring_, 1);
    if (n >= 0) {
      queued_ -= static_cast<size_t>(n);
      submitted_ += static_cast<size_t>(n);
      return true;
    }
    if (n == -EINTR || n == -EAGAIN || n == -EBUSY) return true;
    Fail(n, 0);
    queued_ = 0;  // The next ring does not know them.
    while (submitted_ > 0) {
      io_uring_cqe* cqe = nullptr;
      if (io_uring_wait_cqe(&ring_, &cqe) == 0) Take(*cqe);
    }
    io_uring_queue_exit(&ring_);
    is_open_ = false;  // The next Read opens another.
    return false;
  }

  // Takes what is done.
  void Reap() {
    io_uring_cqe* cqe = nullptr;
    while (io_uring_peek_cqe(&ring_, &cqe) == 0) Take(*cqe);
  }

  void Take(io_uring_cqe& cqe) {
    auto& read = *static_cast<FileRead*>(io_uring_cqe_get_data(&cqe));
    const int n = cqe.res;
    io_uring_cqe_seen(&ring_, &cqe);
    --submitted_;
    const bool repeat = n == -EINTR || n == -EAGAIN;
    if (n < 0 && !repeat) return Fail(n, read.offset);
    if (repeat || !IsComplete(read, static_cast<size_t>(n), source_))
      again_.push_back(static_cast<size_t>(&read - reads_.data()));
  }

  void Fail(int error, uint64_t offset) {
    if (failed_.error == 0) failed_ = {-error, offset};
  }

  struct Failure {
    int error = 0;  // Of errno; 0: none.
    uint64_t offset = 0;
  };

  const BatchSource& source_;
  io_uring ring_ = {};
  bool is_open_ = false;
  // Of the current call.
  std::span<FileRead> reads_;
  size_t next_ = 0;            // The first that was not begun.
  std::vector<size_t> again_;  // Those that gave a part only.
  size_t queued_ = 0;
  size_t submitted_ = 0;
  Failure failed_;  // The first.
};

}  // namespace

std::unique_ptr<BatchReader> NewUringReader(const BatchSource& source) {
  std::unique_ptr<UringReader> reader(new (std::nothrow) UringReader(source));
  if (reader == nullptr || !reader->Init()) return nullptr;
  return reader;
}

}  // namespace shoal

#else

namespace shoal {

std::unique_ptr<BatchReader> NewUringReader(const BatchSource& /*source*/) { return nullptr; }

}  // namespace shoal

#endif
