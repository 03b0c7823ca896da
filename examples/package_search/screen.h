// Output on the screen: numbers, tables cut to the terminal, and the block that updates in place.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace package_search {

// Where the output goes. Without a terminal: 100 columns, no escape sequences.
struct Screen {
  bool terminal = false;
  size_t width = 100;

  static Screen Of(std::FILE* file);
  // `text` in bold, on a terminal.
  std::string Bold(std::string_view text) const;
};

// 63666 -> "63,666".
std::string Grouped(uint64_t number);

// At most `width` characters (UTF-8 code points) of `text`, the last one "…" when some are missing.
std::string CutTo(std::string_view text, size_t width);
// `text` cut or filled with blanks to exactly `width` characters.
std::string FitTo(std::string_view text, size_t width);

// One line of an answer.
struct AnswerRow {
  float distance = 0;
  std::string_view name;
  std::string_view synopsis;
};

// A title and a line for each row, none longer than the screen.
std::string AnswerTable(std::string_view title, std::span<const AnswerRow> rows,
                        const Screen& screen);

// A moment of the run. Rates, latencies and recall are those of the time since the last one.
struct Progress {
  double seconds = 0;
  uint64_t inserted = 0;
  uint64_t total = 0;
  double inserts_per_second = 0;
  double searches_per_second = 0;
  double p50 = 0, p99 = 0, p999 = 0;  // Microseconds.
  size_t k = 10;
  std::optional<double> recall;  // recall@k of `recall_queries` recent queries against
  size_t recall_queries = 0;     // exact search over the first `recall_points` points.
  uint64_t recall_points = 0;
  std::string other;  // What another process sees; may be empty.
};

// The same on one line, and as a block of lines for a terminal.
std::string ProgressLine(const Progress& progress);
std::string ProgressBlock(const Progress& progress, size_t width);

// Shows progress: a block that overwrites itself on a terminal, a line each time elsewhere.
class LiveView {
 public:
  LiveView(std::FILE* out, const Screen& screen) : out_(out), screen_(screen) {}
  void Show(const Progress& progress);

 private:
  std::FILE* out_;
  Screen screen_;
  size_t lines_shown_ = 0;
};

}  // namespace package_search
