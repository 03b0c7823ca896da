#include "work_gate.h"

namespace shoal::vset {

WorkGate::Pass WorkGate::Enter() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !closed_; });
  ++inside_;
  return Pass(this);
}

void WorkGate::Leave() {
  const std::lock_guard lock(mutex_);
  if (--inside_ == 0) changed_.notify_all();
}

void WorkGate::Close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  closing_.request_stop();
  changed_.wait(lock, [&] { return inside_ == 0; });
}

void WorkGate::Open() {
  const std::lock_guard lock(mutex_);
  closed_ = false;
  closing_ = std::stop_source();
  changed_.notify_all();
}

std::stop_token WorkGate::closing() const {
  const std::lock_guard lock(mutex_);
  return closing_.get_token();
}

}  // namespace shoal::vset
