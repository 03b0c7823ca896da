// Sets at rest: while no thread changes their graphs, the main thread, or the child of a fork, may
// read them whole ("at rest" in core/vector_set.h).
#pragma once

#include <cstdint>

#include "bindings/valkey/core/work_gate.h"

namespace shoal::vset_module {

// The gate of all sets. Lives as long as the process.
vset::WorkGate& Gate();

// The gate is closed in every fork: the child inherits sets at rest and no lock that another thread
// holds. Called once, when the module is loaded.
void CloseGateAtForks();

// Microseconds that the last fork waited for the gate to close. Main thread.
uint64_t LastForkWait();

// While it lives, sets are at rest. Main thread, or the child of a fork, where they are so anyway.
class AtRest {
 public:
  AtRest();
  ~AtRest();
  AtRest(const AtRest&) = delete;
  AtRest& operator=(const AtRest&) = delete;
};

}  // namespace shoal::vset_module
