// `shoal-bench report`: results files in, one HTML page out.
#pragma once

#include <string>
#include <vector>

#include "runner/json.h"

namespace shoal::bench {

struct ReportOptions {
  std::vector<std::string> results;  // Drawn.
  std::vector<std::string> a, b;     // Compared; both or neither.
  std::string output;                // Replaced as a whole, or left alone.
  std::string pictures;              // A folder for each plot as an SVG file; empty: none.
  std::string title = "shoal: measured";
};

// The page, and the pictures. An error is one line; nothing is half-written then.
Expected<void> WriteReport(const ReportOptions& options);

}  // namespace shoal::bench
