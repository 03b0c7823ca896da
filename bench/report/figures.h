// From results to sections: what is drawn of a run, and in which words.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "report/page.h"
#include "report/results.h"

namespace shoal::bench::report {

// The machine and the command behind a figure, in one line.
std::string SourceOf(const ResultsFile& file);

// What a reader must know before the figures: that the run failed, its warnings. A sentence each.
std::vector<std::string> CaveatsOf(const Run& run);

// Names what is drawn of one file, and knows how engines look in the whole report.
class Drawing {
 public:
  // `prefix`: unique in the report; what an id must not have becomes '-'.
  Drawing(std::string_view prefix, Stylist& stylist);

  // The next one: "sift-1m-curves-2". A picture's file is called that, so it depends on nothing
  // but the file.
  std::string Id(std::string_view kind);
  Stylist& stylist() { return stylist_; }

 private:
  std::string prefix_;
  std::map<std::string, int, std::less<>> counts_;
  Stylist& stylist_;
};

// Speed against recall for each number of threads, recall against distances; builds and memory as
// bars; what a run's settings were.
void AddCurves(const ResultsFile& file, const Run& run, Drawing& drawing, Section& section);
void AddBuilds(const ResultsFile& file, const Run& run, Drawing& drawing, Section& section);

// Streams that can share plots: those of one file that took the same steps.
using StreamGroup = std::vector<const Run*>;
std::vector<StreamGroup> GroupStreams(const ResultsFile& file);
// Over time: recall, latency, memory, points, rates.
void AddStreams(const ResultsFile& file, const StreamGroup& group, Drawing& drawing,
                Section& section);

// What was run, on what, and what was odd about it.
Section OverviewOf(const std::vector<ResultsFile>& files);

}  // namespace shoal::bench::report
