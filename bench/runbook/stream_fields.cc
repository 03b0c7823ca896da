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

}  // namespace

StreamFields ParseStreamFields(FieldReader& content, const JobContext& context,
                               const FieldReader::ReadObject& more) {
  StreamFields fields;
  content.Object("data", [&](FieldReader& data) { fields.data = ParseInput(data, context); });
  content.Object("runbook", [&](FieldReader& book) { ParseBook(book, context, fields.runbook); });
  content.OptionalObject("build", [&](FieldReader& build) {
    ParseBuild(build, fields.index);
    ParseRepair(build, fields.index);
    if (more) more(build);
  });
  return fields;
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
