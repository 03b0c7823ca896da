#include "bindings/valkey/module/stored_set.h"

#include <algorithm>
#include <utility>

#include "bindings/valkey/module/mapped_memory.h"
#include "bindings/valkey/module/pool.h"

namespace shoal::vset_module {

namespace {

// Elements that a task links before others have their turn; one where searches wait.
constexpr size_t kStep = 32;
// Changes after which it is seen whether a repair is due: that asks the system about memory.
constexpr size_t kLookEvery = 64;

uint64_t NextUid() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

}  // namespace

StoredSet::StoredSet(std::unique_ptr<vset::VectorSet> set)
    : set_(std::move(set)), uid_(NextUid()) {}

StoredSet::~StoredSet() {
  set_.reset();
  CountMappedMemory();
}

void StoredSet::Changed() {
  PostLinks();
  const bool look = ++changes_ % kLookEvery == 0;
  if (look && set_->NeedsMaintenance() && !maintaining_.exchange(true)) Post(&StoredSet::Maintain);
  CountMappedMemory();
}

void StoredSet::Post(void (StoredSet::*step)()) {
  Pool::Instance().Post(Pool::Urgency::kLink, [weak = weak_from_this(), step] {
    if (const SharedSet self = weak.lock()) (self.get()->*step)();
  });
}

void StoredSet::LinkOneAndThen(std::function<void()> then) {
  Pool::Instance().Post(Pool::Urgency::kLink, [self = shared_from_this(), then = std::move(then)] {
    (void)self->set_->Link(1);  // Without memory the tail grows.
    CountMappedMemory();
    then();
  });
}

void StoredSet::PostLinks() {
  const size_t useful = (set_->Unlinked() + kStep - 1) / kStep;
  const size_t wanted = std::min(useful, Pool::Instance().threads());
  size_t linkers = linkers_.load();
  while (linkers < wanted) {
    if (!linkers_.compare_exchange_weak(linkers, linkers + 1)) continue;
    Post(&StoredSet::LinkSome);
    ++linkers;
  }
}

void StoredSet::LinkSome() {
  Result<size_t> linked = set_->Link(1);
  for (size_t i = 1; i < kStep && linked && *linked > 0 && !Pool::Instance().SearchesWait(); ++i)
    linked = set_->Link(1);
  CountMappedMemory();
  const bool last = linkers_.fetch_sub(1) == 1;
  // Without memory elements stay in the tail; the next change tries again. What came while this
  // task found nothing waits for the last task to look again.
  if (linked && (*linked > 0 || last)) PostLinks();
}

void StoredSet::Maintain() {
  (void)set_->Maintain();  // Ended early, or without memory: the next change tries again.
  CountMappedMemory();
  maintaining_.store(false);
}

}  // namespace shoal::vset_module
