// What the two streaming programs share: an index into which rows of one file are inserted, and
// from which they are deleted.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/command_line.h"
#include "apps/common/labels.h"
#include "shoal/dataset.h"
#include "shoal/index.h"
#include "shoal/options.h"
#include "shoal/result.h"

namespace shoal::apps {

// The flags that both programs have.
struct StreamRequest {
  std::filesystem::path data_path;
  std::filesystem::path index_path_prefix;
  IndexOptions index{.code = Code::kFull,
                     .max_degree = 64,
                     .build_list_size = 100,
                     .alpha = 1.2f,
                     .runtime = {.repair = RepairPolicy::kManual}};
  uint32_t max_points = 0;  // 0: all.
  bool skip_zero_vectors = false;
  std::string label_file;  // A path. Empty: there are no labels.
  std::string universal_label;

  void Declare(CommandLine& line);
};

// Rows are named by their place in the file; the tag of row j is j + 1, since DiskANN reserves 0.
// Rows that are left out (zero vectors under cosine) become no points; nothing deletes them.
// Thread-safe as Index is. What fails names the file and the row.
class Stream {
 public:
  // Reads rows [skip, skip + max_points) (or to the end) and makes an empty index. Writes
  // request.max_points, so that it is never 0. Invalid if the file has fewer, or if one of them
  // has no direction under cosine and is not to be left out.
  static Result<Stream> Open(StreamRequest& request, size_t skip);

  // Inserts rows [begin, end) of the file.
  Status Insert(size_t begin, size_t end, size_t threads);
  // Deletes the points of rows [begin, end), which are there, then repairs the graph around them.
  // Says how many points others inserted meanwhile.
  Status DeleteAndConsolidate(size_t begin, size_t end, size_t threads);
  // Writes <prefix><suffix>, <prefix><suffix>.data and .tags; with labels, those of the points, in
  // the order of the tags.
  Status Save(const std::string& suffix) const;

  const Index& index() const { return index_; }
  // How many of rows [begin, end) are points once they are inserted.
  size_t Points(size_t begin, size_t end) const;

 private:
  Stream(StreamRequest request, Matrix rows, std::vector<uint32_t> left_out, Index index);
  Status SaveLabels(const std::filesystem::path& prefix) const;

  // Of the points of rows [begin, end).
  std::vector<ExternalId> Tags(size_t begin, size_t end) const;

  StreamRequest request_;
  Matrix rows_;
  std::optional<PointLabels> labels_;  // Of all rows of the file.
  std::vector<uint32_t> left_out_;     // Rows of the file, ascending.
  Index index_;
  std::unique_ptr<std::atomic<size_t>> inserted_;  // Points so far.
};

}  // namespace shoal::apps
