#include "bindings/valkey/module/at_rest.h"

#include <pthread.h>

namespace shoal::vset_module {

namespace {

// Set in the child of a fork, where the gate stays closed and must not be touched.
bool in_child = false;

}  // namespace

vset::WorkGate& Gate() {
  static auto* const gate = new vset::WorkGate;
  return *gate;
}

void CloseGateAtForks() {
  pthread_atfork([] { Gate().Close(); }, [] { Gate().Open(); }, [] { in_child = true; });
}

AtRest::AtRest() {
  if (!in_child) Gate().Close();
}

AtRest::~AtRest() {
  if (!in_child) Gate().Open();
}

}  // namespace shoal::vset_module
