// A against B: two versions of one thing under the same jobs, and whether they differ.
#pragma once

#include <string>
#include <vector>

#include "report/page.h"
#include "report/results.h"

namespace shoal::bench::report {

// Tables of every figure that both sides have: same type and name of the run, same engine, same
// number of threads. When the runs of the two sides took turns (A B A B, or A B B A, by the times
// at which they started) their ratios are paired; when they did not, the section says so: a
// drifting machine then counts as a difference.
Section CompareSides(const std::vector<ResultsFile>& a, const std::vector<ResultsFile>& b);

}  // namespace shoal::bench::report
