// create, insert, upsert, delete, refine, compact, pack: verbs that change the file. Each loads the
// index, changes it, and replaces the snapshot file, or commits to the database.
#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "apps/common/progress.h"
#include "apps/shoal/place.h"
#include "apps/shoal/rows.h"
#include "apps/shoal/verb.h"
#include "shoal/database.h"
#include "shoal/index.h"

namespace shoal::apps {
namespace {

tl::unexpected<Error> Invalid(std::string message) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message));
}

struct CreateArguments {
  Place place;
  uint32_t dim = 0;
  std::string metric = "l2", dtype = "float32", code = "auto", rerank_code = "full";
  uint32_t max_degree = 32, build_list_size = 100;
  bool force = false;
};

Result<int> Create(const CreateArguments& arguments) {
  const auto metric = ParseMetric(arguments.metric);
  if (!metric) return Invalid("--metric: no such metric: " + arguments.metric);
  const auto type = ParseScalarType(arguments.dtype);
  if (!type) return Invalid("--dtype: no such type: " + arguments.dtype);
  const auto code = ParseCode(arguments.code), rerank_code = ParseCode(arguments.rerank_code);
  if (!code || !rerank_code) return Invalid("--code, --rerank-code: no such code");
  const IndexOptions options{.dim = arguments.dim,
                             .scalar_type = *type,
                             .metric = *metric,
                             .code = *code,
                             .rerank_code = *rerank_code,
                             .max_degree = arguments.max_degree,
                             .build_list_size = arguments.build_list_size};
  const std::string& file = arguments.place.file;
  if (!arguments.place.index.empty()) {
    Result<Database> database = Database::Open(file);
    if (!database) return tl::unexpected(database.error());
    const auto index = database->CreateIndex(arguments.place.index, options);
    if (!index) return tl::unexpected(index.error());
    return kDone;
  }
  if (IsDatabase(file))
    return Invalid(file + ": is a database: --index names an index that is made in it");
  if (!arguments.force && std::filesystem::exists(file))
    return MakeError(ErrorCode::kAlreadyExists, file + ": is there already (--force replaces it)");
  const auto index = Index::Create(options);
  if (!index) return tl::unexpected(index.error());
  if (Status saved = index->Save(file); !saved) return tl::unexpected(saved.error());
  return kDone;
}

struct WriteArguments {
  Place place;
  std::vector<std::string> inputs;
  std::string format;
  ReadRowsOptions read;
  size_t threads = 0;
  bool upsert = false, quiet = false, progress = false;
};

Result<Format> FormatNamed(const std::string& name) {
  constexpr std::pair<std::string_view, Format> kNames[] = {
      {"", Format::kAuto},       {"jsonl", Format::kJsonl}, {"csv", Format::kCsv},
      {"tsv", Format::kCsv},     {"npy", Format::kNpy},     {"fvecs", Format::kFvecs},
      {"bvecs", Format::kBvecs}, {"bin", Format::kBin}};
  for (const auto& [known, format] : kNames)
    if (name == known) return format;
  return Invalid("--format: expected jsonl, csv, tsv, npy, fvecs, bvecs or bin, found " + name);
}

// Puts the rows of one input into the index. Returns how many lines or rows were refused.
Result<size_t> WriteInput(Target& index, const std::string& input, const WriteArguments& arguments,
                          const ReadRowsOptions& options) {
  const Result<RowsRead> rows = ReadRows(input, options);
  if (!rows) return tl::unexpected(rows.error());
  const std::string name = input == "-" ? "standard input" : input;
  for (const RowsRead::BadLine& bad : rows->bad)
    fmt::print(stderr, "{}: line {}: {}\n", name, bad.line, bad.reason);
  std::unique_ptr<Progress> shown;
  if (!arguments.quiet && (arguments.progress || isatty(STDERR_FILENO) == 1))
    shown = std::make_unique<Progress>(name, "vectors", rows->ids.size());
  const BatchOptions batch{.threads = arguments.threads, .progress = [&](size_t done, size_t) {
                             if (shown) shown->Update(done);
                           }};
  const MatrixView view = rows->view(index.options().scalar_type, index.options().dim);
  const auto report = arguments.upsert ? index.Upsert(rows->ids, view, batch)
                                       : index.Insert(rows->ids, view, batch);
  if (!report) return tl::unexpected(report.error());
  for (const BatchReport::Failure& failure : report->failures) {
    const auto place = rows->lines.empty() ? fmt::format("row {}", failure.row)
                                           : fmt::format("line {}", rows->lines[failure.row]);
    if (options.bail) return Invalid(fmt::format("{}: {}: {}", name, place, failure.error.message));
    fmt::print(stderr, "{}: {}: {}\n", name, place, failure.error.message);
  }
  return rows->bad.size() + report->failures.size();
}

Result<int> Write(const WriteArguments& arguments) {
  const Result<Format> format = FormatNamed(arguments.format);
  if (!format) return tl::unexpected(format.error());
  Result<Target> index = Target::Open(arguments.place, arguments.threads);
  if (!index) return tl::unexpected(index.error());
  ReadRowsOptions options = arguments.read;
  options.format = *format;
  options.type = index->options().scalar_type;
  options.dim = index->options().dim;
  size_t refused = 0;
  const std::vector<std::string> standard_input = {"-"};
  for (const std::string& input : arguments.inputs.empty() ? standard_input : arguments.inputs) {
    const Result<size_t> bad = WriteInput(*index, input, arguments, options);
    if (!bad) return tl::unexpected(bad.error());
    refused += *bad;
  }
  if (Status finished = index->Finish(); !finished) return tl::unexpected(finished.error());
  return refused == 0 ? kDone : kFailed;
}

struct DeleteArguments {
  Place place;
  std::string missing = "error";
  std::vector<std::string> ids;
};

Result<int> Delete(const DeleteArguments& arguments) {
  if (arguments.missing != "error" && arguments.missing != "ignore")
    return Invalid("--missing: expected error or ignore, found " + arguments.missing);
  std::vector<uint64_t> ids;
  for (const std::string& text : arguments.ids) {
    const Result<uint64_t> id = ParseId(text);
    if (!id) return tl::unexpected(id.error());
    ids.push_back(*id);
  }
  if (arguments.ids.empty()) {
    Result<std::vector<uint64_t>> read = ReadIds("-");
    if (!read) return tl::unexpected(read.error());
    ids = *std::move(read);
  }
  Result<Target> index = Target::Open(arguments.place);
  if (!index) return tl::unexpected(index.error());
  const auto report = index->Delete(ids);
  if (!report) return tl::unexpected(report.error());
  if (Status finished = index->Finish(); !finished) return tl::unexpected(finished.error());
  if (arguments.missing == "ignore") return kDone;
  for (const BatchReport::Failure& failure : report->failures)
    fmt::print(stderr, "shoal: {}\n", failure.error.message);
  return report->failures.empty() ? kDone : kFailed;
}

void AddWrite(CLI::App& app, Action* action, bool upsert) {
  const auto arguments = std::make_shared<WriteArguments>();
  arguments->upsert = upsert;
  const std::string name = upsert ? "upsert" : "insert";
  CLI::App* verb =
      AddVerb(app, name,
              upsert ? "Adds points, or gives them other vectors."
                     : "Adds points. An id that is there already is an error of its line.",
              "echo '{\"id\": 7, \"vector\": [1, 2, 3]}' | shoal " + name + " colors.shoal");
  AddPlace(*verb, &arguments->place);
  verb->add_option("input", arguments->inputs,
                   "files of vectors; none, or -: standard input, by default JSON lines");
  verb->add_option("--format", arguments->format,
                   "jsonl, csv, tsv, npy, fvecs, bvecs or bin; by default the file's suffix");
  verb->add_option("--ids", arguments->read.ids,
                   "ids of rows that have none: one a line, or an .npy");
  verb->add_option("--id-column", arguments->read.columns.id,
                   "of CSV, whose first line has names then, and JSON lines: where ids are (id)");
  verb->add_option("--vector-column", arguments->read.columns.vector,
                   "likewise: where the elements are; several in this order (vector; of CSV, all "
                   "other columns)")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  verb->add_option("--first-id", arguments->read.first_id,
                   "without --ids: the id of the first such row (0)");
  verb->add_option("--threads", arguments->threads, "0: one for each CPU");
  verb->add_flag("--bail", arguments->read.bail, "the first bad line ends it; nothing is changed");
  verb->add_flag("--progress", arguments->progress, "show progress, even if stderr is no terminal");
  verb->add_flag("--quiet", arguments->quiet, "show no progress");
  verb->callback([=] { *action = [=] { return Write(*arguments); }; });
}

void AddCreate(CLI::App& app, Action* action) {
  const auto arguments = std::make_shared<CreateArguments>();
  CLI::App* verb = AddVerb(app, "create",
                           "Makes an empty index: a snapshot file, or with --index, a database's.",
                           "shoal create colors.shoal --dim 3 --metric cosine\n"
                           "  shoal create colors.db --index rgb --dim 3");
  AddPlace(*verb, &arguments->place);
  verb->add_option("--dim", arguments->dim, "elements of every vector")->required();
  verb->add_option("--metric", arguments->metric,
                   "l2, inner_product, cosine, manhattan or hamming (l2)");
  verb->add_option("--dtype", arguments->dtype, "float32, float16, int8, uint8 or bit (float32)");
  verb->add_option("--code", arguments->code, "what searches traverse (auto)");
  verb->add_option("--rerank-code", arguments->rerank_code, "what puts hits in order (full)");
  verb->add_option("--max-degree", arguments->max_degree, "most edges of a point (32)");
  verb->add_option("--build-list-size", arguments->build_list_size,
                   "candidates of an insert's search (100)");
  verb->add_flag("--force", arguments->force, "replace a file that is there");
  verb->callback([=] { *action = [=] { return Create(*arguments); }; });
}

// Loads a snapshot, has it changed, and saves it.
Result<int> Renew(const Place& place, const char* verb, Status (*change)(Index&)) {
  const Result<std::string> name = IndexNameOf(place);
  if (!name) return tl::unexpected(name.error());
  if (!name->empty())
    return MakeError(
        ErrorCode::kUnsupported,
        fmt::format("{}: {}: expected a snapshot, found a database", place.file, verb));
  Result<Index> index = Index::Load(place.file);
  if (!index) return tl::unexpected(index.error());
  if (Status changed = change(*index); !changed) return tl::unexpected(changed.error());
  if (Status saved = index->Save(place.file); !saved) return tl::unexpected(saved.error());
  return kDone;
}

// Of a database: what commits have changed goes back into the lists of its indexes.
Result<int> Compact(const Place& place) {
  if (!IsDatabase(place.file))
    return Renew(place, "compact", [](Index& index) -> Status {
      const auto bytes = index.Compact();
      return bytes ? Status() : Status(tl::unexpected(bytes.error()));
    });
  Result<Database> database = Database::Open(place.file, {.create = false});
  if (!database) return tl::unexpected(database.error());
  const auto names = place.index.empty() ? database->IndexNames()
                                         : Result<std::vector<std::string>>({place.index});
  if (!names) return tl::unexpected(names.error());
  for (const std::string& name : *names)
    if (const auto index = database->OpenIndex(name); !index) return tl::unexpected(index.error());
  if (Status passed = database->Pass(); !passed) return tl::unexpected(passed.error());
  return kDone;
}

void AddRenewing(CLI::App& app, Action* action) {
  const auto place = std::make_shared<Place>();
  CLI::App* refine = AddVerb(
      app, "refine", "Renews every point's edges; takes the time of inserts. Snapshots only.",
      "shoal refine colors.shoal");
  AddPlace(*refine, place.get());
  refine->callback([=] {
    *action = [=] { return Renew(*place, "refine", [](Index& index) { return index.Refine(); }); };
  });
  CLI::App* compact =
      AddVerb(app, "compact",
              "Repairs what is pending and writes the snapshot anew; of a database, "
              "writes changed lists back (backup makes a copy without free pages).",
              "shoal compact colors.shoal");
  AddPlace(*compact, place.get());
  compact->callback([=] { *action = [=] { return Compact(*place); }; });
}

struct PackArguments {
  Place place;
  std::string out, list_codes = "beside", order = "slots";
};

// The index of a database is what its last commit left.
Result<int> Pack(const PackArguments& arguments) {
  const Place& place = arguments.place;
  const Result<std::string> name = IndexNameOf(place);
  if (!name) return tl::unexpected(name.error());
  const SaveOptions options{.list_codes = arguments.list_codes == "beside"
                                              ? SaveOptions::ListCodes::kBeside
                                              : SaveOptions::ListCodes::kNone,
                            .order = arguments.order == "neighbors" ? SaveOptions::Order::kNeighbors
                                                                    : SaveOptions::Order::kSlots};
  const auto save = [&](const Index& index, const std::string& file) -> Result<int> {
    if (Status saved = index.Save(file, {}, options); !saved) return tl::unexpected(saved.error());
    return kDone;
  };
  if (name->empty()) {
    const Result<Index> index = Index::Load(place.file);
    if (!index) return tl::unexpected(index.error());
    return save(*index, arguments.out.empty() ? place.file : arguments.out);
  }
  if (arguments.out.empty() || IsDatabase(arguments.out))
    return Invalid(place.file +
                   ": --out: expected the name of a snapshot, for a database's index "
                   "is packed into one");
  Result<Database> database = Database::Open(place.file, {.create = false});
  if (!database) return tl::unexpected(database.error());
  const Result<StoredIndex> index = database->OpenIndex(*name);
  if (!index) return tl::unexpected(index.error());
  return save(index->live(), arguments.out);
}

void AddPack(CLI::App& app, Action* action) {
  const auto arguments = std::make_shared<PackArguments>();
  CLI::App* verb =
      AddVerb(app, "pack",
              "Puts codes beside the lists: searches of the snapshot are faster, and the file is "
              "larger, until a verb changes it. Or puts points that are near each other together, "
              "for files larger than memory. Makes such a snapshot of a database's index.",
              "shoal pack colors.shoal\n"
              "  shoal pack colors.shoal --codes none --order neighbors\n"
              "  shoal pack colors.db --index rgb --out rgb.shoal");
  AddPlace(*verb, &arguments->place);
  verb->add_option("--out", arguments->out, "the packed snapshot; by default the file itself");
  verb->add_option("--codes", arguments->list_codes, "of a list's points: beside it, or none")
      ->check(CLI::IsMember({"beside", "none"}))
      ->capture_default_str();
  verb->add_option("--order", arguments->order, "of the points: as their slots, or as neighbors")
      ->check(CLI::IsMember({"slots", "neighbors"}))
      ->capture_default_str();
  verb->callback([=] { *action = [=] { return Pack(*arguments); }; });
}

}  // namespace

void AddWritingVerbs(CLI::App& app, Action* action) {
  AddCreate(app, action);
  AddWrite(app, action, false);
  AddWrite(app, action, true);
  const auto arguments = std::make_shared<DeleteArguments>();
  CLI::App* verb = AddVerb(app, "delete", "Removes points.", "shoal delete colors.shoal 7 8");
  AddPlace(*verb, &arguments->place);
  verb->add_option("ids", arguments->ids, "their ids; none: standard input, one a line");
  verb->add_option("--missing", arguments->missing, "ids that are not there: error or ignore");
  verb->callback([=] { *action = [=] { return Delete(*arguments); }; });
  AddRenewing(app, action);
  AddPack(app, action);
}

}  // namespace shoal::apps
