#include "report/page.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/markup.h"
#include "report/page_style.h"

namespace shoal::bench::report {
namespace {

// Figures stand right under each other, words do not: a column of words is one with a cell that is
// long, or that has no digit and is longer than a "-".
bool IsWords(const Table& table, size_t column) {
  return std::any_of(table.rows.begin(), table.rows.end(), [&](const auto& row) {
    if (column >= row.size()) return false;
    const std::string& cell = row[column];
    return cell.size() > 24 || (cell.size() > 3 && cell.find_first_of("0123456789") == cell.npos);
  });
}

// A range, "1.47–1.55", is not to be broken at its dash: the joiners forbid it.
std::string Joined(std::string cell) {
  constexpr std::string_view kDash = "–", kJoined = "\u2060–\u2060";
  for (size_t at = 0; (at = cell.find(kDash, at)) != cell.npos; at += kJoined.size()) {
    cell.replace(at, kDash.size(), kJoined);
  }
  return cell;
}

void RenderTable(Markup& html, const Table& table) {
  std::vector<std::string_view> classes;
  for (size_t i = 0; i < table.head.size(); ++i) {
    classes.push_back(i > 0 && !IsWords(table, i) ? "number" : "words");
  }
  html.Open("div", {{"class", "table"}});
  // No <caption>: that is as wide as the table and cannot be read where the table is scrolled.
  if (!table.caption.empty()) html.Element("p", {{"class", "caption"}}, table.caption);
  html.Open("div", {{"class", "scroll"}}).Open("table", {{"aria-label", table.caption}});
  html.Open("thead").Open("tr");
  for (size_t i = 0; i < table.head.size(); ++i) {
    html.Element("th", {{"scope", "col"}, {"class", classes[i]}}, table.head[i]);
  }
  html.Close().Close().Open("tbody");
  for (const std::vector<std::string>& row : table.rows) {
    html.Open("tr");
    for (size_t i = 0; i < table.head.size(); ++i) {
      const std::string cell = i < row.size() ? Joined(row[i]) : std::string();
      if (i == 0) {
        html.Element("th", {{"scope", "row"}, {"class", classes[i]}}, cell);
      } else {
        html.Element("td", {{"class", classes[i]}}, cell);
      }
    }
    html.Close();
  }
  html.Close().Close().Close().Close();
}

void RenderFigure(Markup& html, const Figure& figure) {
  const std::string label = fmt::format("Plot: {}. {}", figure.title, figure.better);
  html.Open("figure", {{"id", figure.id}}).Open("div", {{"class", "drawing"}});
  html.Element("h3", {}, figure.title);
  std::visit(
      [&](const auto& chart) {
        if constexpr (std::is_same_v<std::decay_t<decltype(chart)>, LineChart>) {
          html.Append(LegendOf(chart));
        }
        html.Append(Draw(chart, Layout::kWide, label)).Append(Draw(chart, Layout::kNarrow, label));
      },
      figure.chart);
  html.Element("p", {{"class", "better"}}, figure.better);
  html.Element("p", {{"class", "source"}}, figure.source);
  html.Close();
  for (const Table& table : figure.tables) RenderTable(html, table);
  html.Close();
}

void RenderSection(Markup& html, const Section& section) {
  html.Open("section", {{"id", section.id}}).Element("h2", {}, section.title);
  for (const std::string& note : section.notes) html.Element("p", {}, note);
  for (const std::string& caveat : section.caveats) {
    html.Element("p", {{"class", "caveat"}}, caveat);
  }
  for (const std::string& source : section.sources) {
    html.Element("p", {{"class", "source"}}, source);
  }
  for (const Figure& figure : section.figures) RenderFigure(html, figure);
  for (const Table& table : section.tables) RenderTable(html, table);
  for (const auto& [line, text] : section.details) {
    html.Open("details").Element("summary", {}, line).Element("pre", {}, text).Close();
  }
  html.Close();
}

void RenderContents(Markup& html, const Page& page) {
  if (page.sections.size() < 2) return;
  html.Open("nav", {{"aria-label", "Contents"}}).Open("ul");
  for (const Section& section : page.sections) {
    html.Open("li").Element("a", {{"href", fmt::format("#{}", section.id)}}, section.title).Close();
  }
  html.Close().Close();
}

}  // namespace

std::string Render(const Page& page) {
  Markup html;
  html.Append("<!DOCTYPE html>\n");
  html.Open("html", {{"lang", "en"}, {"xmlns", "http://www.w3.org/1999/xhtml"}}).Open("head");
  html.Leaf("meta", {{"charset", "utf-8"}});
  html.Leaf("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
  // No request leaves this page, whatever a results file says.
  html.Leaf("meta", {{"http-equiv", "Content-Security-Policy"},
                     {"content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:"}});
  html.Leaf("link", {{"rel", "icon"}, {"href", "data:,"}});
  html.Element("title", {}, page.title);
  html.Open("style").Append(kPlotStyle).Append(kPageStyle).Close();
  html.Close().Open("body").Open("main");
  html.Element("h1", {}, page.title);
  for (const std::string& note : page.notes) html.Element("p", {}, note);
  RenderContents(html, page);
  for (const Section& section : page.sections) RenderSection(html, section);
  return html.Take() + "\n";
}

std::string RenderPicture(const Figure& figure) {
  std::string svg = std::visit(
      [&](const auto& chart) { return Draw(chart, Layout::kWide, figure.title); }, figure.chart);
  Markup style;
  style.Open("style").Append(kPlotStyle).Append(".plot { background: var(--ground); }").Close();
  svg.insert(svg.find('>') + 1, style.Take());
  return svg + "\n";
}

}  // namespace shoal::bench::report
