// The C interface: how much memory indexes take, and what a host is told of it.
#include "c_api.h"

namespace c = shoal::c;
using shoal::Status;

namespace {

// *number = call(the checked options), which gives a Result<uint64_t>.
template <class Call>
int32_t Estimate(const shoal_index_options* options, uint64_t* number, shoal_error* error,
                 const Call& call) {
  return c::Guarded(error, [&]() -> Status {
    const auto checked = c::OptionsOf(options);
    if (!checked) return tl::unexpected(checked.error());
    const shoal::Result<uint64_t> estimate = call(*checked);
    if (!estimate) return tl::unexpected(estimate.error());
    *number = *estimate;
    return {};
  });
}

// Those of shoal_set_memory_hooks, which the C++ hooks call.
shoal_memory_hooks g_hooks;

bool Take(void*, uint64_t bytes) { return g_hooks.take(g_hooks.user, bytes) == 0; }
void GiveBack(void*, uint64_t bytes) { g_hooks.give_back(g_hooks.user, bytes); }

}  // namespace

int32_t shoal_estimate_bytes(const shoal_index_options* options, uint64_t points, uint64_t* bytes,
                             shoal_error* error) {
  return Estimate(options, bytes, error, [&](const shoal::IndexOptions& checked) {
    return shoal::EstimateBytes(checked, points);
  });
}

int32_t shoal_estimate_points(const shoal_index_options* options, uint64_t bytes, uint64_t* points,
                              shoal_error* error) {
  return Estimate(options, points, error, [&](const shoal::IndexOptions& checked) {
    return shoal::EstimatePoints(checked, bytes);
  });
}

uint64_t shoal_mapped_bytes(void) { return shoal::MappedBytes(); }

int32_t shoal_set_memory_hooks(const shoal_memory_hooks* hooks, shoal_error* error) {
  const auto all = c::Read(hooks, "hooks");
  if (!all) return c::Fail(all.error(), error);
  const Status set =
      shoal::SetMemoryHooks({.take = all->take == nullptr ? nullptr : Take,
                             .give_back = all->give_back == nullptr ? nullptr : GiveBack});
  if (set) g_hooks = *all;
  return c::CodeOf(set, error);
}
