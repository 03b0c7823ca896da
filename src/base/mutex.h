// std::mutex with Clang's thread-safety annotations, so that the compiler checks "guarded by".
#pragma once

#include <mutex>

#if defined(__clang__)
#define SHOAL_TSA(x) __attribute__((x))
#else
#define SHOAL_TSA(x)
#endif
#define SHOAL_CAPABILITY(x) SHOAL_TSA(capability(x))
#define SHOAL_SCOPED_CAPABILITY SHOAL_TSA(scoped_lockable)
#define SHOAL_GUARDED_BY(x) SHOAL_TSA(guarded_by(x))
#define SHOAL_REQUIRES(...) SHOAL_TSA(requires_capability(__VA_ARGS__))
#define SHOAL_ACQUIRE(...) SHOAL_TSA(acquire_capability(__VA_ARGS__))
#define SHOAL_RELEASE(...) SHOAL_TSA(release_capability(__VA_ARGS__))
#define SHOAL_ASSERT_HELD(...) SHOAL_TSA(assert_capability(__VA_ARGS__))
#define SHOAL_TRY_ACQUIRE(...) SHOAL_TSA(try_acquire_capability(__VA_ARGS__))
#define SHOAL_NO_THREAD_SAFETY_ANALYSIS SHOAL_TSA(no_thread_safety_analysis)

namespace shoal {

class SHOAL_CAPABILITY("mutex") Mutex {
 public:
  void Lock() SHOAL_ACQUIRE() { mutex_.lock(); }
  void Unlock() SHOAL_RELEASE() { mutex_.unlock(); }
  bool TryLock() SHOAL_TRY_ACQUIRE(true) { return mutex_.try_lock(); }
  // Tells the analysis what it cannot see: the caller holds it.
  void AssertHeld() const SHOAL_ASSERT_HELD() {}

 private:
  std::mutex mutex_;
};

class SHOAL_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) SHOAL_ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() SHOAL_RELEASE() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace shoal
