// Runbooks of big-ann-benchmarks' streaming track: which points come, go and change, and when the
// queries are asked. YAML, one map under the name of each data set:
//
//   random-xs:
//     max_pts: 10000                                            # most points at a time
//     1: {operation: "insert", start: 0, end: 10000}            # rows [0, 10000), ids likewise
//     2: {operation: "search"}                                  # every query, or
//     2: {operation: "search", start: 0, end: 100}              # queries [0, 100)
//     3: {operation: "delete", start: 0, end: 5000}             # ids
//     4: {operation: "replace", tags_start: 0, tags_end: 10, ids_start: 7500, ids_end: 7510}
//     gt_url: "https://..."                                     # optional
//
// Steps are numbered from 1; a step may also be a list of one-key maps, as some generators of the
// track print it. A replace gives the points tags_start.. the rows ids_start.., one for one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/result.h"

namespace shoal::bench {

enum class Operation : uint8_t { kInsert, kDelete, kReplace, kSearch };
inline constexpr size_t kOperations = 4;

// "insert", "delete", "replace", "search".
std::string_view OperationName(Operation operation);

// [begin, end). Points are named by 32 bits because ground truth files do.
struct IdRange {
  uint32_t begin = 0;
  uint32_t end = 0;
  uint32_t size() const { return end - begin; }
  friend bool operator==(IdRange, IdRange) = default;
};

struct Step {
  size_t number = 0;  // In the file, from 1.
  Operation operation = Operation::kSearch;
  IdRange points;   // Insert, delete, replace: the points' ids.
  IdRange rows;     // Insert, replace: the rows of the data set that they get, as many.
  IdRange queries;  // Search: those that are asked; empty: all.
  size_t line = 0;  // In the file, from 1; 0: made, not read.
};

struct Runbook {
  std::filesystem::path file;  // For messages; empty: made, not read.
  std::string dataset;
  uint64_t max_points = 0;  // As the file says.
  std::string truth_url;
  std::vector<Step> steps;
};

// The runbook of one data set of a file; `dataset` may be empty where the file has one only.
// FileNotFound, Io; Corrupt names file, line, step, field, expected and found.
Result<Runbook> ReadRunbook(const std::filesystem::path& file, std::string_view dataset = {});
// The same from text. `file` is for messages.
Result<Runbook> ParseRunbook(std::string_view text, const std::filesystem::path& file,
                             std::string_view dataset = {});
// The YAML of a runbook, a step a line. `comments` come first, each behind a #.
std::string RunbookText(const Runbook& runbook, const std::vector<std::string>& comments);

// "<file>:<line>: step 3", how every message about a step begins.
std::string Where(const Runbook& runbook, const Step& step);

}  // namespace shoal::bench
