// What a database's file says of itself, to its writer and to any other process.
#pragma once

#include <string>
#include <vector>

#include "db/environment.h"
#include "shoal/database.h"

namespace shoal {

// As of the last commit. May throw bad_alloc.
Result<std::vector<std::string>> ReadNames(Environment& environment);
// `passes` and `queued_changes` are 0: the file does not have them.
Result<DatabaseStats> ReadStats(Environment& environment);

}  // namespace shoal
