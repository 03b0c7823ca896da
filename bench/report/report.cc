#include "report/report.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "base/file.h"
#include "report/ab.h"
#include "report/figures.h"
#include "report/results.h"
#include "runner/verb.h"

namespace shoal::bench {
namespace {

using report::Drawing;
using report::Page;
using report::ResultsFile;
using report::Run;
using report::Section;
using report::Table;

Expected<std::vector<ResultsFile>> LoadAll(const std::vector<std::string>& paths) {
  std::vector<ResultsFile> files;
  for (const std::string& path : paths) {
    Expected<ResultsFile> file = report::LoadResults(path);
    if (!file) return tl::unexpected(file.error());
    files.push_back(std::move(*file));
  }
  return files;
}

std::string NameOf(const Run& run) { return run.name.empty() ? run.type : run.name; }

Table SettingsTable(const Run& run) {
  Table table{"Settings:", {"engine", "settings"}, {}};
  for (const auto& [engine, facts] : run.settings) {
    std::string text;
    for (const auto& [name, value] : facts) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, value);
    }
    table.rows.push_back({engine, text});
  }
  return table;
}

// What a run has beside its stream.
Section SectionOf(const ResultsFile& file, const Run& run, Drawing& drawing) {
  Section section{.id = drawing.Id("section"), .title = NameOf(run)};
  AddCurves(file, run, drawing, section);
  AddBuilds(file, run, drawing, section);
  if (!run.settings.empty()) section.tables.push_back(SettingsTable(run));
  if (!run.plain.empty()) {
    Table table{"Results:", {"figure", "value"}, {}};
    for (const auto& [name, value] : run.plain) table.rows.push_back({name, value});
    section.tables.push_back(std::move(table));
  }
  // Those of a run with a stream stand with the stream.
  if (!run.stream) section.caveats = CaveatsOf(run);
  return section;
}

// Sections of one file: one for each run, but streams that can share plots share a section.
void AddSections(const ResultsFile& file, Drawing& drawing, Page& page) {
  for (const Run& run : file.runs) {
    Section section = SectionOf(file, run, drawing);
    const bool empty = section.figures.empty() && section.tables.empty() && section.caveats.empty();
    if (!empty) page.sections.push_back(std::move(section));
  }
  for (const report::StreamGroup& group : report::GroupStreams(file)) {
    Section section{.id = drawing.Id("section"), .title = NameOf(*group.front())};
    for (const Run* run : group) {
      for (std::string& caveat : CaveatsOf(*run)) section.caveats.push_back(std::move(caveat));
    }
    AddStreams(file, group, drawing, section);
    page.sections.push_back(std::move(section));
  }
}

Expected<void> WriteText(const std::filesystem::path& path, const std::string& text) {
  auto file = OutputFile::Create(path);
  if (!file) return tl::unexpected(file.error().message);
  Status written = file->Append(text.data(), text.size());
  if (written) written = file->Commit();
  if (!written) return tl::unexpected(written.error().message);
  return {};
}

Expected<void> WritePictures(const Page& page, const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return tl::unexpected(fmt::format("{}: {}", folder.string(), error.message()));
  for (const Section& section : page.sections) {
    for (const report::Figure& figure : section.figures) {
      auto written = WriteText(folder / (figure.id + ".svg"), RenderPicture(figure));
      if (!written) return written;
    }
  }
  return {};
}

}  // namespace

Expected<void> WriteReport(const ReportOptions& options) {
  if (options.a.empty() != options.b.empty()) {
    return tl::unexpected(std::string("--a and --b: expected both or neither, found one"));
  }
  if (options.results.empty() && options.a.empty()) {
    return tl::unexpected(std::string("RESULTS: expected at least one file, found none"));
  }
  const Expected<std::vector<ResultsFile>> drawn = LoadAll(options.results);
  if (!drawn) return tl::unexpected(drawn.error());
  const Expected<std::vector<ResultsFile>> a = LoadAll(options.a);
  if (!a) return tl::unexpected(a.error());
  const Expected<std::vector<ResultsFile>> b = LoadAll(options.b);
  if (!b) return tl::unexpected(b.error());

  Page page{.title = options.title};
  report::Stylist stylist;
  std::set<std::string> prefixes;
  if (!a->empty()) page.sections.push_back(CompareSides(*a, *b));
  for (const ResultsFile& file : *drawn) {
    const std::string stem = std::filesystem::path(file.name).stem().string();
    std::string prefix = stem;
    for (int i = 2; !prefixes.insert(prefix).second; ++i) prefix = fmt::format("{}-{}", stem, i);
    Drawing drawing(prefix, stylist);
    AddSections(file, drawing, page);
  }
  if (!drawn->empty()) page.sections.push_back(report::OverviewOf(*drawn));
  if (!options.pictures.empty()) {
    auto written = WritePictures(page, options.pictures);
    if (!written) return written;
  }
  return WriteText(options.output, Render(page));
}

void AddReport(CLI::App& app, int& status) {
  static ReportOptions options;
  app.add_option("RESULTS", options.results, "results files to draw");
  app.add_option("-o,--output", options.output, "the HTML file to write")->required();
  app.add_option("--a", options.a, "results of side A of a comparison; give the option once a file")
      ->expected(1)
      ->take_all();
  app.add_option("--b", options.b, "results of side B")->expected(1)->take_all();
  app.add_option("--pictures", options.pictures, "also write each plot as an SVG file, to here");
  app.add_option("--title", options.title, "heading of the page");
  app.callback([&status] {
    const Expected<void> written = WriteReport(options);
    if (written) return;
    fmt::print(stderr, "shoal-bench: {}\n", written.error());
    status = 1;
  });
}

}  // namespace shoal::bench
