#include "bindings/valkey/module/at_rest.h"

#include <pthread.h>

#include <chrono>

namespace shoal::vset_module {

namespace {

// Set in the child of a fork, where the gate stays closed and must not be touched.
bool in_child = false;
uint64_t fork_wait = 0;  // Microseconds, of the last fork.

void CloseAtFork() {
  const auto begin = std::chrono::steady_clock::now();
  Gate().Close();
  const auto took = std::chrono::steady_clock::now() - begin;
  fork_wait =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(took).count());
}

}  // namespace

vset::WorkGate& Gate() {
  static auto* const gate = new vset::WorkGate;
  return *gate;
}

void CloseGateAtForks() {
  pthread_atfork(
      CloseAtFork, [] { Gate().Open(); }, [] { in_child = true; });
}

uint64_t LastForkWait() { return fork_wait; }

AtRest::AtRest() {
  if (!in_child) Gate().Close();
}

AtRest::~AtRest() {
  if (!in_child) Gate().Open();
}

}  // namespace shoal::vset_module
