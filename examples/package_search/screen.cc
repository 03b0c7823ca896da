#include "package_search/screen.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace package_search {
namespace {

constexpr size_t kNarrowest = 40;
constexpr size_t kLongestName = 34;

bool BeginsCharacter(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

size_t Characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), BeginsCharacter));
}

// The bytes that the first `characters` characters take.
size_t BytesOf(std::string_view text, size_t characters) {
  size_t i = 0;
  for (; i < text.size(); ++i) {
    if (BeginsCharacter(text[i]) && characters-- == 0) break;
  }
  return i;
}

std::string RecallText(const Progress& progress) {
  if (!progress.recall) return "-";
  return fmt::format("{:.3f}", *progress.recall);
}

}  // namespace

Screen Screen::Of(std::FILE* file) {
  Screen screen;
  screen.terminal = isatty(fileno(file)) != 0;
  winsize size = {};
  if (screen.terminal && ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    screen.width = std::max<size_t>(size.ws_col, kNarrowest);
  }
  return screen;
}

std::string Screen::Bold(std::string_view text) const {
  return terminal ? fmt::format("\x1b[1m{}\x1b[0m", text) : std::string(text);
}

std::string Grouped(uint64_t number) {
  std::string digits = fmt::format("{}", number);
  for (size_t i = digits.size(); i > 3;) {
    i -= 3;
    digits.insert(i, 1, ',');
  }
  return digits;
}

std::string CutTo(std::string_view text, size_t width) {
  if (Characters(text) <= width) return std::string(text);
  if (width == 0) return {};
  return std::string(text.substr(0, BytesOf(text, width - 1))) + "…";
}

std::string FitTo(std::string_view text, size_t width) {
  std::string out = CutTo(text, width);
  return out.append(width - Characters(out), ' ');
}

std::string AnswerTable(std::string_view title, std::span<const AnswerRow> rows,
                        const Screen& screen) {
  size_t name_width = 0;
  for (const AnswerRow& row : rows) name_width = std::max(name_width, Characters(row.name));
  name_width = std::min({name_width, kLongestName, screen.width / 2});
  std::string out = screen.Bold(CutTo(title, screen.width)) + "\n";
  if (rows.empty()) out += "  nothing found\n";
  for (const AnswerRow& row : rows) {
    const std::string line =
        fmt::format("  {:5.3f}  {}  {}", row.distance, FitTo(row.name, name_width), row.synopsis);
    out += CutTo(line, screen.width) + "\n";
  }
  return out;
}

std::string ProgressLine(const Progress& p) {
  std::string line = fmt::format(
      "{:5.1f} s  {}/{} inserted  {:.0f} inserts/s  {:.0f} searches/s  p50 {:.0f} us  "
      "p99 {:.0f} us  p99.9 {:.0f} us  recall@{} {}",
      p.seconds, p.inserted, p.total, p.inserts_per_second, p.searches_per_second, p.p50, p.p99,
      p.p999, p.k, RecallText(p));
  if (!p.other.empty()) line += "\n         " + p.other;
  return line;
}

std::string ProgressBlock(const Progress& p, size_t width) {
  const size_t bar_width = std::clamp<size_t>(width, 60, 80) - 50;
  const size_t filled = p.total == 0 ? 0 : p.inserted * bar_width / p.total;
  std::string bar(filled, '#');
  bar.append(bar_width - filled, '.');
  std::vector<std::string> lines = {
      fmt::format("  [{}] {:>7} of {} inserted {:6.1f} s", bar, Grouped(p.inserted),
                  Grouped(p.total), p.seconds),
      fmt::format("  inserts/s  {:>8}     searches/s {:>8}",
                  Grouped(static_cast<uint64_t>(p.inserts_per_second)),
                  Grouped(static_cast<uint64_t>(p.searches_per_second))),
      fmt::format("  latency    p50 {:.0f} us   p99 {:.0f} us   p99.9 {:.0f} us", p.p50, p.p99,
                  p.p999),
      fmt::format("  recall@{}  {}   (last {} queries, exact over {} points)", p.k, RecallText(p),
                  p.recall_queries, Grouped(p.recall_points)),
  };
  if (!p.other.empty()) lines.push_back("  " + p.other);
  std::string block;
  for (const std::string& line : lines) block += CutTo(line, width) + "\n";
  return block;
}

void LiveView::Show(const Progress& progress) {
  if (!screen_.terminal) {
    fmt::print(out_, "{}\n", ProgressLine(progress));
  } else {
    // Up to the block's first line, then erase to the end of the screen.
    if (lines_shown_ > 0) fmt::print(out_, "\x1b[{}A\x1b[J", lines_shown_);
    const std::string block = ProgressBlock(progress, screen_.width);
    fmt::print(out_, "{}", block);
    lines_shown_ = static_cast<size_t>(std::count(block.begin(), block.end(), '\n'));
  }
  std::fflush(out_);
}

}  // namespace package_search
