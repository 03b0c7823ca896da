// DiskANN's label files (docs/file_formats.md, "Labels").
//
// A label file is text: line i has the labels of point i, words with commas between them, at least
// one. In an index labels are numbers: the universal label is 0, others are counted from 1 in the
// order in which they come first.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "shoal/filter.h"
#include "shoal/index.h"
#include "shoal/result.h"

namespace shoal::apps {

struct PointLabels {
  std::vector<std::vector<uint32_t>> sets;  // One a point.
  std::map<std::string, uint32_t> numbers;
  bool has_universal = false;  // A point with label 0 has all labels.

  // Which points have the label; one word that the map does not have: InvalidArgument.
  Result<Filter> FilterFor(const std::string& label, const std::string& where) const;
  // Whether the point does.
  bool Has(size_t point, uint32_t label) const;
};

// The words of a label file's lines. Io; Corrupt: a line without a word, or with more than
// kMaxLabels.
Result<std::vector<std::vector<std::string>>> ReadLabelLines(const std::filesystem::path& path);
// Of a file for `points` points. `universal`: empty if there is none.
Result<PointLabels> ReadLabels(const std::filesystem::path& path, const std::string& universal,
                               size_t points);

// The files of an index: <prefix>_labels.txt, <prefix>_labels_map.txt and, if there is a universal
// label, <prefix>_universal_label.txt. Without `labels` those that are there are removed.
Status WriteIndexLabels(const std::filesystem::path& prefix,
                        const std::optional<PointLabels>& labels);
Result<PointLabels> ReadIndexLabels(const std::filesystem::path& prefix, size_t points);
// The tags of an index's points, in the order of its files: without 0, the start point's.
Result<std::vector<uint32_t>> ReadIndexTags(const std::filesystem::path& prefix);

}  // namespace shoal::apps
