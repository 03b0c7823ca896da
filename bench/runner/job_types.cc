// The table of job types: a row for each.
#include <array>

#include "jobs/jobs.h"
#include "runner/job.h"

namespace shoal::bench {

std::span<const JobType* const> JobTypes() {
  static const std::array types = {
      &kBaselineJob, &kBesideJob,      &kChurnJob,    &kConcurrentRunbookJob,
      &kDatabaseJob, &kExactSearchJob, &kFeaturesJob, &kFiltersJob,
      &kIndexJob,    &kKernelsJob,     &kRunbookJob,  &kStoreStressJob,
  };
  return types;
}

const JobType* FindJobType(std::string_view name) {
  for (const JobType* type : JobTypes())
    if (type->name == name) return type;
  return nullptr;
}

}  // namespace shoal::bench
