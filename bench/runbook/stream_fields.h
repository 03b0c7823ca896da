// The fields that both kinds of streaming jobs have.
#pragma once

#include <string>

#include "jobs/input.h"
#include "runbook/runbook.h"
#include "runner/job.h"
#include "shoal/options.h"

namespace shoal::bench {

struct StreamFields {
  InputRequest data;
  Runbook runbook;
  IndexOptions index;
};

// "data", "runbook" and "build"; reads the runbook. What else "build" has, `more` reads.
StreamFields ParseStreamFields(FieldReader& content, const JobContext& context,
                               const FieldReader::ReadObject& more = {});

// Reads the vectors and checks that the runbook fits them; a runbook that says fewer points than it
// has is told of.
Expected<Input> LoadStream(const StreamFields& fields, const JobContext& context);

}  // namespace shoal::bench
