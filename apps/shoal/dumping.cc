// dump, load: an index as lines of JSON.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/shoal/options_json.h"
#include "apps/shoal/place.h"
#include "apps/shoal/rows.h"
#include "apps/shoal/verb.h"
#include "shoal/database.h"
#include "shoal/index.h"

namespace shoal::apps {
namespace {

using Json = nlohmann::ordered_json;

// One line with the options, then a line for each point.
Result<int> Dump(const Place& place) {
  const Result<Source> view = Source::Open(place);
  if (!view) return tl::unexpected(view.error());
  const IndexOptions& options = view->options();
  const auto ids = view->Ids();
  if (!ids) return tl::unexpected(ids.error());
  fmt::print("{}\n", Json{{"shoal_dump", 1}, {"options", JsonOf(options)}}.dump());
  std::vector<std::byte> vector(BytesOf(options.scalar_type, options.dim));
  for (const uint64_t id : *ids) {
    if (Status got = view->Get(id, {vector.data(), options.scalar_type, options.dim}); !got)
      return tl::unexpected(got.error());
    fmt::print("{{\"id\":{},\"vector\":[{}]}}\n", id,
               ElementsText({vector.data(), options.scalar_type, options.dim}));
  }
  return kDone;
}

// The options of a dump's first line.
Result<IndexOptions> OptionsOfDump(const std::string& line) {
  const auto wrong = [](const char* what) {
    return MakeError(ErrorCode::kCorrupt, std::string("line 1: ") + what);
  };
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_object() || json.value("shoal_dump", 0) != 1)
    return wrong("expected the first line of shoal dump, version 1");
  try {
    const Json& fields = json.at("options");
    const auto type = ParseScalarType(fields.at("dtype").get<std::string>());
    const auto metric = ParseMetric(fields.at("metric").get<std::string>());
    const auto code = ParseCode(fields.at("code").get<std::string>());
    const auto rerank_code = ParseCode(fields.at("rerank_code").get<std::string>());
    if (!type || !metric || !code || !rerank_code) return wrong("a name that is not known");
    return IndexOptions{.dim = fields.at("dim").get<uint32_t>(),
                        .scalar_type = *type,
                        .metric = *metric,
                        .code = *code,
                        .rerank_code = *rerank_code,
                        .max_degree = fields.at("max_degree").get<uint32_t>(),
                        .build_list_size = fields.at("build_list_size").get<uint32_t>(),
                        .alpha = fields.at("alpha").get<float>()};
  } catch (const Json::exception&) {
    return wrong("expected the index's options");
  }
}

Result<int> LoadInto(const Place& place, const IndexOptions& options, const RowsRead& rows) {
  const MatrixView view = rows.view(options.scalar_type, options.dim);
  if (place.index.empty()) {
    Result<Index> index = Index::Create(options);
    if (!index) return tl::unexpected(index.error());
    const auto report = index->InsertMany(rows.ids, view);
    if (!report) return tl::unexpected(report.error());
    if (!report->failures.empty()) return tl::unexpected(report->failures.front().error);
    if (Status saved = index->Save(place.file); !saved) return tl::unexpected(saved.error());
    return kDone;
  }
  Result<Database> database = Database::Open(place.file);
  if (!database) return tl::unexpected(database.error());
  const auto index = database->CreateIndex(place.index, options);
  if (!index) return tl::unexpected(index.error());
  Result<Transaction> change = database->Begin();
  if (!change) return tl::unexpected(change.error());
  const auto report = change->InsertMany(*index, rows.ids, view);
  if (!report) return tl::unexpected(report.error());
  if (!report->failures.empty()) return tl::unexpected(report->failures.front().error);
  if (Status committed = change->Commit(); !committed) return tl::unexpected(committed.error());
  return kDone;
}

Result<int> Load(const Place& place) {
  if (place.index.empty() && IsDatabase(place.file))
    return MakeError(ErrorCode::kInvalidArgument,
                     place.file + ": is a database: --index names an index that is made in it");
  std::string first;
  std::getline(std::cin, first);
  const Result<IndexOptions> options = OptionsOfDump(first);
  if (!options) return tl::unexpected(options.error());
  const auto rows = ReadRows(
      "-",
      {.format = Format::kJsonl, .type = options->scalar_type, .dim = options->dim, .bail = true});
  if (!rows) return tl::unexpected(rows.error());
  return LoadInto(place, *options, *rows);
}

}  // namespace

void AddDumpVerbs(CLI::App& app, Action* action) {
  const auto place = std::make_shared<Place>();
  CLI::App* dump =
      AddVerb(app, "dump", "Prints options and points as JSON lines, for `shoal load`.",
              "shoal dump colors.shoal > colors.jsonl");
  AddPlace(*dump, place.get());
  dump->callback([=] { *action = [=] { return Dump(*place); }; });
  CLI::App* load =
      AddVerb(app, "load",
              "Makes an index of what `shoal dump` printed, on standard input: a snapshot, or with "
              "--index, a database's.",
              "shoal load again.shoal < colors.jsonl");
  AddPlace(*load, place.get());
  load->callback([=] { *action = [=] { return Load(*place); }; });
}

}  // namespace shoal::apps
