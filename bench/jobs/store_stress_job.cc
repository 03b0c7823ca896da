// The job "store-stress": its fields are the reference engine's, and its results too.
//
// Two of them size parts that our store has in another form:
//   epoch_guard_slots          ours makes more cells when all are taken, so no reader is ever
//   refused;
//                              the job keeps the limit: readers and retirers, which hold a guard
//                              each, may not be more.
//   freelist_recycle_capacity  ours keeps every free slot, so nothing is dropped and later searched
//                              for; accepted and remembered, without effect.
#include <fmt/format.h>

#include "jobs/jobs.h"
#include "jobs/store_stress.h"
#include "runner/timing.h"
#include "store/tag.h"

namespace shoal::bench {
namespace {

Json ToJson(const StoreStressCounts& counts) {
  return {{"elapsed_secs", counts.elapsed_secs},
          {"reads", counts.reads},
          {"acquires_ok", counts.acquires_ok},
          {"acquires_fail", counts.acquires_fail},
          {"retires_ok", counts.retires_ok},
          {"retires_fail", counts.retires_fail},
          {"reclaims", counts.reclaims},
          {"transitions", counts.transitions},
          {"peak_live", counts.peak_live},
          {"torn", counts.violations.torn},
          {"unstable", counts.violations.unstable},
          {"resurrected", counts.violations.resurrected},
          {"unaccounted", counts.unaccounted},
          {"epochs", counts.epochs}};
}

class StoreStressJob final : public Job {
 public:
  explicit StoreStressJob(const StoreStressOptions& options) : options_(options) {}

  Expected<Json> Run(const JobContext& context) override {
    const Timing timing(context, "the threads");
    const StoreStressCounts counts = RunStoreStress(options_, [&](const StoreStressCounts& so_far) {
      context.checkpoint(ToJson(so_far));
      context.say(fmt::format("{:.0f} s: {} rows read, {} acquired, {} retired, {} transitions",
                              so_far.elapsed_secs, so_far.reads, so_far.acquires_ok,
                              so_far.retires_ok, so_far.transitions));
    });
    timing.Stop();
    if (std::string verdict = Verdict(counts); !verdict.empty()) context.violated(verdict);
    return ToJson(counts);
  }

 private:
  const StoreStressOptions options_;
};

Expected<std::unique_ptr<Job>> Parse(FieldReader& content, const JobContext& /*context*/) {
  constexpr UnsignedRange kSome{.least = 1, .most = 4096};
  StoreStressOptions options;
  options.capacity = content.Unsigned("capacity", {.least = 1, .most = kMaxSlots / 2});
  options.duration_secs = content.Unsigned("duration_secs", {.most = uint64_t{30} * 24 * 3600});
  options.entry_bytes = content.Unsigned("entry_bytes", {.least = 8, .most = 1 << 20});
  const uint64_t guards = content.Unsigned("epoch_guard_slots", kSome, 256);
  content.Unsigned("freelist_recycle_capacity", {.least = 1}, 1024);
  options.low_watermark = content.Unsigned("low_watermark", {.most = options.capacity});
  options.max_ops = content.Unsigned("max_ops", {});
  options.readers = content.Unsigned("readers", {.least = 1, .most = 255});
  options.retirers = content.Unsigned("retirers", {.most = 255});
  options.seed = content.Unsigned("seed", {});
  options.writers = content.Unsigned("writers", {.least = 1, .most = 255});
  if (options.entry_bytes % sizeof(uint64_t) != 0)
    content.Fail("entry_bytes", "a multiple of 8", std::to_string(options.entry_bytes));
  if (options.duration_secs == 0 && options.max_ops == 0)
    content.Fail("max_ops", "at least 1 where duration_secs is 0", "0");
  if (options.readers + options.retirers > guards)
    content.Fail("epoch_guard_slots",
                 fmt::format("at least readers + retirers, {}", options.readers + options.retirers),
                 std::to_string(guards));
  return std::make_unique<StoreStressJob>(options);
}

}  // namespace

// Violations explain slots that do not add up, so those are named only where there are none.
std::string Verdict(const StoreStressCounts& counts) {
  const Violations& seen = counts.violations;
  if (seen.total() > 0)
    return fmt::format("expected no violation, found {} torn, {} unstable, {} resurrected",
                       seen.torn, seen.unstable, seen.resurrected);
  if (counts.unaccounted > 0)
    return fmt::format("expected slots to add up, found {} that do not", counts.unaccounted);
  return "";
}

constinit const JobType kStoreStressJob{
    "store-stress",
    "slots under writers, retirers and readers: no torn, unstable or resurrected row", R"({
  "capacity": 4096, "duration_secs": 5, "entry_bytes": 128, "epoch_guard_slots": 256,
  "freelist_recycle_capacity": 1024, "low_watermark": 1024, "max_ops": 50000000, "readers": 8,
  "retirers": 2, "seed": 11936128518282651045, "writers": 4
})",
    Parse};

}  // namespace shoal::bench
