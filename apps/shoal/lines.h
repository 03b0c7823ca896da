// One line of text as an id and numbers: JSON, or CSV.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/result.h"

namespace shoal::apps {

// Which columns of CSV, or fields of JSON, have the id and the elements. Each of `vector` has one
// element or a list of them, as [1, 2]. Empty: "id" and "vector" of JSON. Of CSV, the first column,
// and all others.
struct Columns {
  std::string id = {};
  std::vector<std::string> vector = {};
};

struct Line {
  std::optional<uint64_t> id;
  std::vector<double> values;
};

// Without blanks at both ends.
std::string_view Trimmed(std::string_view text);

Result<uint64_t> ParseId(std::string_view text);
// "1,2,3" or "[1, 2, 3]".
Result<std::vector<double>> ParseNumbers(std::string_view text);

// {"id": 7, "vector": [1, 2]} or [1, 2]. An id in quotes is an id, too. InvalidArgument says what
// is wrong with the line.
Result<Line> ParseJson(std::string_view text, const Columns& columns);

// The lines of one file of CSV: fields between commas, semicolons or tabs; one in double quotes may
// have such in it. Where columns have names, the separator is the one that the heading has.
class CsvLines {
 public:
  // `has_ids`: lines begin with an id, unless `columns` says where it is.
  CsvLines(const Columns& columns, bool has_ids);

  // Whether this first line is a heading: where columns have names, or where it begins with no
  // number. InvalidArgument: a column is not in it.
  Result<bool> TakeHeading(std::string_view line);
  // InvalidArgument says what is wrong with the line.
  Result<Line> Parse(std::string_view line) const;

 private:
  Result<std::vector<std::string>> FieldsOf(std::string_view line) const;

  const Columns& columns_;
  std::string separators_ = ",;\t";
  std::optional<size_t> id_;    // The column of the id.
  std::vector<size_t> vector_;  // Those of the elements; empty: all others.
};

}  // namespace shoal::apps
