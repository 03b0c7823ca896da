#include <fmt/format.h>

#include <cctype>
#include <cstdlib>

#include "report/figures.h"

namespace shoal::bench::report {
namespace {

std::string Find(const Facts& facts, std::string_view key) {
  for (const auto& [name, value] : facts) {
    if (name == key) return value;
  }
  return {};
}

std::string Fixed(const std::optional<double>& value, int decimals) {
  return value ? fmt::format("{:.{}f}", *value, decimals) : "-";
}

Table RunsTable(const ResultsFile& file) {
  Table table{fmt::format("{}: its runs", file.name),
              {"run", "type", "status", "seconds", "others' cores", "stolen"},
              {}};
  for (const Run& run : file.runs) {
    table.rows.push_back({run.name.empty() ? run.type : run.name, run.type,
                          run.status.empty() ? "-" : run.status, Fixed(run.seconds, 1),
                          Fixed(run.others_cores, 2), Fixed(run.stolen, 3)});
  }
  return table;
}

}  // namespace

Drawing::Drawing(std::string_view prefix, Stylist& stylist) : prefix_(prefix), stylist_(stylist) {
  for (char& c : prefix_) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '-';
  }
}

std::string Drawing::Id(std::string_view kind) {
  return fmt::format("{}-{}-{}", prefix_, kind, ++counts_[std::string(kind)]);
}

std::string SourceOf(const ResultsFile& file) {
  std::string source;
  const auto add = [&](std::string_view before, std::string text, std::string_view after = "") {
    if (text.empty()) return;
    source += fmt::format("{}{}{}{}", source.empty() ? "" : ", ", before, text, after);
  };
  add("", Find(file.machine, "cpu"));
  add("", Find(file.machine, "cores"), " cores");
  const double memory = std::atof(Find(file.machine, "memory_bytes").c_str());
  if (memory > 0) add("", Number(memory, Unit::kBytes));
  add("", Find(file.machine, "kernel"));
  add("", Find(file.machine, "isa"));
  add("", Find(file.machine, "compiler"));
  add("", Find(file.machine, "build_type"));
  add("commit ", Find(file.machine, "commit"));
  add("", Find(file.machine, "date"));
  if (source.empty()) source = "machine not recorded";
  source += fmt::format(". File {}.", file.name);
  if (!file.command.empty()) source += fmt::format(" Command: {}", file.command);
  return source;
}

std::vector<std::string> CaveatsOf(const Run& run) {
  std::vector<std::string> caveats;
  if (!run.error.empty() || (!run.status.empty() && run.status != "finished")) {
    caveats.push_back(fmt::format("This run is marked {}{}{}.", run.status,
                                  run.error.empty() ? "" : ": ", run.error));
  }
  for (const std::string& warning : run.warnings) {
    caveats.push_back(fmt::format("Warning: {}.", warning));
  }
  return caveats;
}

Section OverviewOf(const std::vector<ResultsFile>& files) {
  Section section{.id = "runs", .title = "What was run"};
  for (const ResultsFile& file : files) {
    section.sources.push_back(SourceOf(file));
    section.tables.push_back(RunsTable(file));
    for (const Run& run : file.runs) {
      const std::string name = run.name.empty() ? run.type : run.name;
      if (!run.input.empty()) section.details.emplace_back(fmt::format("Job: {}", name), run.input);
    }
  }
  return section;
}

}  // namespace shoal::bench::report
