// Drives threads through one chosen order of sync points (src/base/hooks.h).
//
//   Sequencer sequencer;
//   sequencer.Start("insert", [&] { lists.Link(u, v); });
//   sequencer.Start("delete", [&] { ... });
//   ASSERT_TRUE(sequencer.RunTo("insert", "link.after_back_link"));  // It stands there now.
//   ASSERT_TRUE(sequencer.RunToEnd("delete"));                  // All of it happens in between.
//   ASSERT_TRUE(sequencer.RunToEnd("insert"));
//
// A thread that was started waits at its beginning. It moves only while the test runs it to a point
// or to its end; points that were not asked for are passed. So there is exactly one order, and the
// test is as deterministic as its threads are. Threads that the sequencer did not start pass all
// points. A thread that is held must not hold what the next one needs: RunTo then returns false
// after kPatience instead of hanging for ever; no verdict depends on time otherwise.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "base/hooks.h"

#if !defined(SHOAL_TEST_HOOKS)
#error "the sequencer needs sync points: compile with SHOAL_TEST_HOOKS"
#endif

namespace shoal::testing {

// One at a time. Used by one thread, that of the test.
class Sequencer {
 public:
  static constexpr std::chrono::seconds kPatience{120};

  Sequencer() { sync_point_handler.store(&Sequencer::AtPoint, std::memory_order_release); }

  // Lets all threads run to their ends.
  ~Sequencer() {
    for (auto& [name, actor] : actors_) Release(actor, "");
    for (auto& [name, actor] : actors_) actor.thread.join();
    sync_point_handler.store(nullptr, std::memory_order_release);
  }
  Sequencer(const Sequencer&) = delete;
  Sequencer& operator=(const Sequencer&) = delete;

  // Makes a thread that waits for its first RunTo. `name`: not given before.
  void Start(const std::string& name, std::function<void()> body) {
    Actor& actor = actors_[name];
    actor.sequencer = this;
    actor.thread = std::thread([&actor, body = std::move(body)] {
      current_ = &actor;
      actor.sequencer->Park(actor);
      body();
      actor.sequencer->Finish(actor);
    });
  }

  // Runs `name` until it stands at `point`. False: it ended first, or did not come.
  bool RunTo(const std::string& name, const std::string& point) {
    Actor& actor = actors_.at(name);
    if (!Release(actor, point)) return false;
    return Await(actor) && !Ended(actor);
  }

  // Runs `name` through all further points. False: it did not come to its end.
  bool RunToEnd(const std::string& name) {
    Actor& actor = actors_.at(name);
    if (!Release(actor, "")) return true;
    return Await(actor) && Ended(actor);
  }

 private:
  enum class State { kParked, kRunning, kEnded };
  struct Actor {
    Sequencer* sequencer = nullptr;
    std::thread thread;
    // Guarded by mutex_.
    State state = State::kRunning;
    std::string target;  // The point to stop at; empty: none.
  };

  static void AtPoint(const char* point) {
    if (current_ == nullptr) return;
    Sequencer& self = *current_->sequencer;
    {
      const std::lock_guard lock(self.mutex_);
      if (current_->target != point) return;
    }
    self.Park(*current_);
  }

  void Park(Actor& actor) {
    std::unique_lock lock(mutex_);
    actor.state = State::kParked;
    changed_.notify_all();
    changed_.wait(lock, [&] { return actor.state == State::kRunning; });
  }

  void Finish(Actor& actor) {
    const std::lock_guard lock(mutex_);
    actor.state = State::kEnded;
    changed_.notify_all();
  }

  // Lets a parked thread go on to `target`. False: it has ended, or never parked.
  bool Release(Actor& actor, const std::string& target) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return actor.state != State::kRunning; });
    actor.target = target;
    if (actor.state != State::kParked) return false;
    actor.state = State::kRunning;
    changed_.notify_all();
    return true;
  }

  bool Await(Actor& actor) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return actor.state != State::kRunning; });
  }

  bool Ended(Actor& actor) {
    const std::lock_guard lock(mutex_);
    return actor.state == State::kEnded;
  }

  static inline thread_local Actor* current_ = nullptr;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Actor> actors_;  // Nodes stay where they are. The test's thread only.
};

}  // namespace shoal::testing
