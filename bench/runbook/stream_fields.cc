#include "runbook/stream_fields.h"

#include <fmt/format.h>

#include <utility>

#include "runbook/live_points.h"

namespace shoal::bench {
namespace {

void ParseBook(FieldReader& book, const JobContext& context, Runbook& runbook) {
  const auto file = book.InputFile("file", context.find_input);
  const std::string dataset = book.Text("dataset", "");
  if (!book.ok()) return;
  auto read = ReadRunbook(file, dataset);
  if (!read) return book.FailWith(read.error().message);
  runbook = std::move(*read);
}

void ParseBuild(FieldReader& build, IndexOptions& index) {
  index.max_degree = static_cast<uint32_t>(build.Unsigned("degree", {4, kMaxDegree}, 32));
  index.build_list_size = static_cast<uint32_t>(build.Unsigned("list", {1, kMaxListSize}, 100));
  index.alpha = static_cast<float>(build.Number("alpha", {1, 2}, 1.2));
  const std::string repair =
      build.OneOf("repair", {"immediate", "background", "manual"}, "immediate");
  index.runtime.repair = repair == "immediate"    ? RepairPolicy::kImmediate
                         : repair == "background" ? RepairPolicy::kBackground
                                                  : RepairPolicy::kManual;
  index.runtime.repair_threads =
      static_cast<uint32_t>(build.Unsigned("repair_threads", {1, 256}, 1));
}

}  // namespace

StreamFields ParseStreamFields(FieldReader& content, const JobContext& context,
                               const FieldReader::ReadObject& more) {
  StreamFields fields;
  content.Object("data", [&](FieldReader& data) { fields.data = ParseInput(data, context); });
  content.Object("runbook", [&](FieldReader& book) { ParseBook(book, context, fields.runbook); });
  content.Object(
      "build",
      [&](FieldReader& build) {
        ParseBuild(build, fields.index);
        if (more) more(build);
      },
      FieldReader::Presence::kOptional);
  return fields;
}

Json StreamSkeleton() {
  return {{"data",
           {{"base_file", "sift-1m.u8bin"},
            {"query_file", "sift-query-1k.u8bin"},
            {"rows", 100000},
            {"scalar_type", "file"},
            {"metric", "l2"}}},
          {"runbook", {{"file", "runbook.yaml"}, {"dataset", ""}}},
          {"build",
           {{"degree", 32},
            {"list", 100},
            {"alpha", 1.2},
            {"repair", "immediate"},
            {"repair_threads", 1}}}};
}

Expected<Input> LoadStream(const StreamFields& fields, const JobContext& context) {
  auto input = ReadInput(fields.data);
  if (!input) return input;
  const auto summary = CheckRunbook(fields.runbook, input->rows.rows(), input->queries.rows());
  if (!summary) return tl::unexpected(summary.error().message);
  if (summary->max_live > fields.runbook.max_points) {
    context.warn(fmt::format("{}: max_pts is {}, and {} points are there at a time",
                             fields.runbook.file.string(), fields.runbook.max_points,
                             summary->max_live));
  }
  context.say(fmt::format("{}: {} steps, {} searches, at most {} points of {} rows",
                          fields.runbook.dataset, fields.runbook.steps.size(),
                          summary->steps[static_cast<size_t>(Operation::kSearch)],
                          summary->max_live, input->rows.rows()));
  return input;
}

}  // namespace shoal::bench
