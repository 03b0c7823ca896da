// The report as sections, figures and tables; and as one HTML file that needs nothing else.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "report/chart.h"

namespace shoal::bench::report {

// Cells are plain text; the first column names the row, the others are figures.
struct Table {
  std::string caption;
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
};

struct Figure {
  // Unique in a report; letters, digits and hyphens.
  std::string id;
  std::string title;
  std::variant<LineChart, BarChart> chart;
  // A sentence: which way is better.
  std::string better = {};
  // The machine and the command that made it.
  std::string source = {};
  // The same as figures, and what follows from them.
  std::vector<Table> tables = {};
};

struct Section {
  std::string id;
  std::string title;
  std::vector<std::string> notes = {};    // A paragraph each.
  std::vector<std::string> caveats = {};  // The same, to be noticed.
  std::vector<std::string> sources = {};  // Machines and commands, small.
  std::vector<Figure> figures = {};
  std::vector<Table> tables = {};
  // Long text behind a line that opens it: (line, text).
  std::vector<std::pair<std::string, std::string>> details = {};
};

struct Page {
  std::string title;
  std::vector<std::string> notes = {};
  std::vector<Section> sections = {};
};

// The whole file.
std::string Render(const Page& page);
// A figure's wide plot as a file of its own, styles included: for documents that show pictures.
std::string RenderPicture(const Figure& figure);

}  // namespace shoal::bench::report
