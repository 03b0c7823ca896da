// stat, verify, dump, load, import, export: verbs about the file as a whole.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/shoal/rows.h"
#include "apps/shoal/verb.h"
#include "shoal/diskann_files.h"
#include "shoal/index.h"
#include "shoal/index_view.h"
#include "shoal/snapshot.h"

namespace shoal::apps {
namespace {

using Json = nlohmann::ordered_json;

Json JsonOf(const IndexOptions& options) {
  return {{"dim", options.dim},
          {"dtype", ScalarTypeName(options.scalar_type)},
          {"metric", MetricName(options.metric)},
          {"code", CodeName(options.code)},
          {"rerank_code", CodeName(options.rerank_code)},
          {"max_degree", options.max_degree},
          {"build_list_size", options.build_list_size},
          {"alpha", options.alpha}};
}

Result<int> PrintStat(const std::string& file, bool json) {
  const auto info = InspectSnapshot(file);
  if (!info) return tl::unexpected(info.error());
  Json fields = {{"file", file},
                 {"points", info->points},
                 {"edges", info->edges},
                 {"bytes", info->bytes},
                 {"has_vectors", info->has_vectors},
                 {"has_list_codes", info->has_list_codes},
                 {"format_version", info->format_version}};
  fields.update(JsonOf(info->options));
  if (json) {
    fmt::print("{}\n", fields.dump());
    return kDone;
  }
  for (const auto& [name, value] : fields.items())
    fmt::print("{:<16} {}\n", name, value.is_string() ? value.get<std::string>() : value.dump());
  return kDone;
}

Result<int> Verify(const std::string& file, bool deep) {
  const auto info = VerifySnapshot(file);
  const auto damaged = [](const Error& error) -> Result<int> {
    if (error.code != ErrorCode::kCorrupt) return tl::unexpected(error);
    fmt::print(stderr, "shoal: {}\n", error.message);
    return kDamaged;
  };
  if (!info) return damaged(info.error());
  if (deep) {
    const Result<Index> index = Index::Load(file);
    if (!index) return damaged(index.error());
    if (const Status structure = index->CheckStructure(); !structure)
      return damaged(structure.error());
  }
  fmt::print("{}: {} points, all checksums right{}\n", file, info->points,
             deep ? ", the graph too" : "");
  return kDone;
}

// One line with the options, then a line for each point.
Result<int> Dump(const std::string& file) {
  const Result<IndexView> view = IndexView::Open(file);
  if (!view) return tl::unexpected(view.error());
  const IndexOptions& options = view->options();
  fmt::print("{}\n", Json{{"shoal_dump", 1}, {"options", JsonOf(options)}}.dump());
  std::vector<std::byte> vector(BytesOf(options.scalar_type, options.dim));
  for (const uint64_t id : view->ids()) {
    if (Status got = view->Get(id, {vector.data(), options.scalar_type, options.dim}); !got)
      return tl::unexpected(got.error());
    fmt::print("{{\"id\":{},\"vector\":{}}}\n", id,
               VectorText({vector.data(), options.scalar_type, options.dim}));
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

Result<int> Load(const std::string& file) {
  std::string first;
  std::getline(std::cin, first);
  const Result<IndexOptions> options = OptionsOfDump(first);
  if (!options) return tl::unexpected(options.error());
  Result<Index> index = Index::Create(*options);
  if (!index) return tl::unexpected(index.error());
  const auto rows = ReadRows(
      "-",
      {.format = Format::kJsonl, .type = options->scalar_type, .dim = options->dim, .bail = true});
  if (!rows) return tl::unexpected(rows.error());
  const auto report = index->InsertMany(rows->ids, rows->view(options->scalar_type, options->dim));
  if (!report) return tl::unexpected(report.error());
  if (!report->failures.empty()) return tl::unexpected(report->failures.front().error);
  if (Status saved = index->Save(file); !saved) return tl::unexpected(saved.error());
  return kDone;
}

struct ExchangeArguments {
  std::string file, prefix, metric = "l2", dtype = "float32";
  bool tags = false;
};

Result<int> Import(const ExchangeArguments& arguments) {
  const auto metric = ParseMetric(arguments.metric);
  const auto type = ParseScalarType(arguments.dtype);
  if (!metric || !type)
    return MakeError(ErrorCode::kInvalidArgument, "--metric, --dtype: no such name");
  const auto index = LoadDiskann(
      arguments.prefix, {.index = {.scalar_type = *type, .metric = *metric, .max_degree = 0},
                         .tags = arguments.tags});
  if (!index) return tl::unexpected(index.error());
  if (Status saved = index->Save(arguments.file); !saved) return tl::unexpected(saved.error());
  return kDone;
}

Result<int> Export(const ExchangeArguments& arguments) {
  const auto index = Index::Load(arguments.file);
  if (!index) return tl::unexpected(index.error());
  if (Status saved = SaveDiskann(*index, arguments.prefix, {.dynamic = arguments.tags}); !saved)
    return tl::unexpected(saved.error());
  return kDone;
}

void AddExchange(CLI::App& app, Action* action) {
  const auto arguments = std::make_shared<ExchangeArguments>();
  CLI::App* import = AddVerb(app, "import", "Makes an index of DiskANN's in-memory files.",
                             "shoal import colors.shoal diskann/ann --tags");
  CLI::App* exported = AddVerb(app, "export", "Writes DiskANN's in-memory files.",
                               "shoal export colors.shoal diskann/ann --tags");
  for (CLI::App* verb : {import, exported}) {
    verb->add_option("file", arguments->file, "the index")->required();
    verb->add_option("prefix", arguments->prefix, "of DiskANN's files")->required();
    verb->add_flag("--tags", arguments->tags,
                   "ids are in <prefix>.tags; else they are row numbers");
  }
  import->add_option("--metric", arguments->metric, "which the files do not have (l2)");
  import->add_option("--dtype", arguments->dtype, "likewise (float32)");
  import->callback([=] { *action = [=] { return Import(*arguments); }; });
  exported->callback([=] { *action = [=] { return Export(*arguments); }; });
}

}  // namespace

void AddFileVerbs(CLI::App& app, Action* action) {
  const auto file = std::make_shared<std::string>();
  const auto flag = std::make_shared<bool>(false);
  const auto add = [&](const char* name, const char* description, const char* example) {
    CLI::App* verb = AddVerb(app, name, description, example);
    verb->add_option("file", *file, "the index")->required();
    return verb;
  };
  CLI::App* stat = add("stat", "Prints what the file's header says.", "shoal stat a.shoal --json");
  stat->add_flag("--json", *flag, "as one line of JSON");
  stat->callback([=] { *action = [=] { return PrintStat(*file, *flag); }; });
  CLI::App* verify = add("verify", "Compares every checksum. Exit status 3: damage.",
                         "shoal verify colors.shoal --deep");
  verify->add_flag("--deep", *flag, "load the index, and check its graph");
  verify->callback([=] { *action = [=] { return Verify(*file, *flag); }; });
  CLI::App* dump = add("dump", "Prints options and points as JSON lines, for `shoal load`.",
                       "shoal dump colors.shoal > colors.jsonl");
  dump->callback([=] { *action = [=] { return Dump(*file); }; });
  CLI::App* load = add("load", "Makes an index of what `shoal dump` printed, on standard input.",
                       "shoal load again.shoal < colors.jsonl");
  load->callback([=] { *action = [=] { return Load(*file); }; });
  AddExchange(app, action);
}

}  // namespace shoal::apps
