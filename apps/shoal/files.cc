// stat, verify, backup, import, export: verbs about the file as a whole.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/common/progress.h"
#include "apps/shoal/options_json.h"
#include "apps/shoal/place.h"
#include "apps/shoal/verb.h"
#include "shoal/database.h"
#include "shoal/diskann_files.h"
#include "shoal/index.h"
#include "shoal/snapshot.h"

namespace shoal::apps {
namespace {

using Json = nlohmann::ordered_json;

Result<Json> StatOfSnapshot(const std::string& file) {
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
  return fields;
}

// The names of a database's indexes, or the one that was said.
Result<std::vector<std::string>> NamesOf(const Place& place) {
  if (!place.index.empty()) return std::vector<std::string>{place.index};
  Result<DatabaseInfo> info = InspectDatabase(place.file);
  if (!info) return tl::unexpected(info.error());
  return std::move(info->indexes);
}

Result<Json> StatOfDatabase(const Place& place) {
  const Result<DatabaseInfo> info = InspectDatabase(place.file);
  if (!info) return tl::unexpected(info.error());
  const DatabaseStats& stats = info->stats;
  Json fields = {{"file", place.file},           {"bytes", stats.file_bytes},
                 {"row_bytes", stats.row_bytes}, {"graph_bytes", stats.graph_bytes},
                 {"log_bytes", stats.log_bytes}, {"commits", stats.commits},
                 {"snapshots", stats.snapshots}, {"oldest_lag", stats.oldest_lag},
                 {"indexes", Json::array()}};
  const Result<std::vector<std::string>> names = NamesOf(place);
  if (!names) return tl::unexpected(names.error());
  for (const std::string& name : *names) {
    const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(place.file, name);
    if (!snapshot) return tl::unexpected(snapshot.error());
    Json index = {{"name", name}, {"points", snapshot->size()}};
    index.update(JsonOf(snapshot->options()));
    fields["indexes"].push_back(index);
  }
  return fields;
}

void PrintFields(const Json& fields, const std::string& indent) {
  for (const auto& [name, value] : fields.items()) {
    if (!value.is_array())
      fmt::print("{}{:<16} {}\n", indent, name,
                 value.is_string() ? value.get<std::string>() : value.dump());
    else
      for (const Json& one : value) {
        fmt::print("{}index\n", indent);
        PrintFields(one, indent + "  ");
      }
  }
}

Result<int> PrintStat(const Place& place, bool json) {
  if (!IsDatabase(place.file))  // Says what is wrong with the name of an index.
    if (const auto name = IndexNameOf(place); !name) return tl::unexpected(name.error());
  const auto fields = IsDatabase(place.file) ? StatOfDatabase(place) : StatOfSnapshot(place.file);
  if (!fields) return tl::unexpected(fields.error());
  if (json)
    fmt::print("{}\n", fields->dump());
  else
    PrintFields(*fields, "");
  return kDone;
}

Result<int> DamagedOr(const Error& error) {
  if (error.code != ErrorCode::kCorrupt) return tl::unexpected(error);
  fmt::print(stderr, "shoal: {}\n", error.message);
  return kDamaged;
}

// Long work with a live line, where stderr is a terminal.
class LiveLine {
 public:
  LiveLine(std::string label, std::string unit)
      : label_(std::move(label)), unit_(std::move(unit)) {}
  BatchOptions batch() {
    if (isatty(STDERR_FILENO) != 1) return {};
    return {.progress = [this](size_t done, size_t total) {
      if (shown_ == nullptr) shown_ = std::make_unique<Progress>(label_, unit_, total);
      shown_->Update(done);
    }};
  }

 private:
  const std::string label_, unit_;
  std::unique_ptr<Progress> shown_;
};

Result<int> VerifyDatabase(const Place& place) {
  const Result<std::vector<std::string>> names = NamesOf(place);
  if (!names) return DamagedOr(names.error());
  for (const std::string& name : *names) {
    const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(place.file, name);
    if (!snapshot) return DamagedOr(snapshot.error());
    const Status whole = snapshot->Verify(LiveLine(name, "steps").batch());
    if (!whole) return DamagedOr(whole.error());
    fmt::print("{}: index {}: {} points, all checksums right, the graph too\n", place.file, name,
               snapshot->size());
  }
  return kDone;
}

Result<int> Verify(const Place& place, bool deep) {
  if (IsDatabase(place.file)) return VerifyDatabase(place);
  if (const auto name = IndexNameOf(place); !name) return tl::unexpected(name.error());
  const auto info = VerifySnapshot(place.file, LiveLine(place.file, "blocks").batch());
  if (!info) return DamagedOr(info.error());
  if (deep) {
    const Result<Index> index = Index::Load(place.file);
    if (!index) return DamagedOr(index.error());
    if (const Status structure = index->CheckStructure(); !structure)
      return DamagedOr(structure.error());
  }
  fmt::print("{}: {} points, all checksums right{}\n", place.file, info->points,
             deep ? ", the graph too" : "");
  return kDone;
}

// A snapshot is verified before it is copied; a database's copy has no free pages.
Result<int> Backup(const std::string& file, const std::string& to) {
  if (IsDatabase(file)) {
    const Status copied =
        BackupDatabase(file, to, Database::Copy::kCompact, LiveLine(to, "bytes").batch());
    if (!copied) return tl::unexpected(copied.error());
    return kDone;
  }
  if (std::filesystem::exists(to))
    return MakeError(ErrorCode::kAlreadyExists, to + ": there is such a file");
  if (const auto whole = VerifySnapshot(file); !whole) return tl::unexpected(whole.error());
  const std::string part = to + ".part";
  std::error_code failed;
  std::filesystem::copy_file(file, part, std::filesystem::copy_options::overwrite_existing, failed);
  if (!failed) std::filesystem::rename(part, to, failed);
  if (failed) return MakeError(ErrorCode::kIo, to + ": " + failed.message());
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
  if (IsDatabase(arguments.file))
    return MakeError(ErrorCode::kUnsupported,
                     arguments.file + ": export: expected a snapshot, found a database");
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
    verb->add_option("file", arguments->file, "a snapshot")->required();
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
  const auto place = std::make_shared<Place>();
  const auto flag = std::make_shared<bool>(false);
  const auto to = std::make_shared<std::string>();
  CLI::App* stat = AddVerb(app, "stat", "Prints what the file has: points, options, bytes.",
                           "shoal stat colors.shoal --json");
  AddPlace(*stat, place.get());
  stat->add_flag("--json", *flag, "as one line of JSON");
  stat->callback([=] { *action = [=] { return PrintStat(*place, *flag); }; });
  CLI::App* verify = AddVerb(app, "verify", "Compares every checksum. Exit status 3: damage.",
                             "shoal verify colors.shoal --deep");
  AddPlace(*verify, place.get());
  verify->add_flag("--deep", *flag,
                   "load the snapshot, and check its graph (a database's is checked anyway)");
  verify->callback([=] { *action = [=] { return Verify(*place, *flag); }; });
  CLI::App* backup =
      AddVerb(app, "backup", "Copies the file, a database's last commit while others write.",
              "shoal backup colors.db colors-monday.db");
  backup->add_option("file", place->file, "a snapshot, or a database")->required();
  backup->add_option("to", *to, "the copy; it must not be there")->required();
  backup->callback([=] { *action = [=] { return Backup(place->file, *to); }; });
  AddExchange(app, action);
}

}  // namespace shoal::apps
