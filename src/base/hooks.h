// Sync points: named places at which a test may hold a thread.
//
//   SHOAL_SYNC_POINT("link.after_back_link");
//
// They compile to nothing unless SHOAL_TEST_HOOKS is defined (a CMake option, and a variant of the
// library that the race tests link). With it, every point calls the handler that a test has
// installed, if there is one. A point is between two steps of a protocol, not inside a section that
// other threads need in order to make progress: a test parks threads there. Those named
// "what.locked" are the exception, for tests of operations that do not need the section.
//
// A name is "what.where", in lower case: the operation, and what it has just done or is about to
// do.
#pragma once

#if defined(SHOAL_TEST_HOOKS)

#include <atomic>

namespace shoal {

// point: a string literal.
using SyncPointHandler = void (*)(const char* point);

// The handler of all threads; null: none. Installed and removed while no thread is at a point.
inline std::atomic<SyncPointHandler> sync_point_handler{nullptr};

inline void ReachSyncPoint(const char* point) {
  const SyncPointHandler handler = sync_point_handler.load(std::memory_order_acquire);
  if (handler != nullptr) handler(point);
}

}  // namespace shoal

#define SHOAL_SYNC_POINT(point) ::shoal::ReachSyncPoint(point)
#else
#define SHOAL_SYNC_POINT(point) static_cast<void>(0)
#endif
