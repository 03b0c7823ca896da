#include "runner/results_file.h"

#include <fmt/format.h>

#include "runner/field_reader.h"
#include "runner/machine.h"

namespace shoal::bench {

Expected<ResultsFile> ResultsFile::Create(const std::filesystem::path& path, std::string command) {
  ResultsFile file(path, {{"schema", kResultsSchema},
                          {"version", kResultsVersion},
                          {"machine", MachineFacts()},
                          {"command", std::move(command)},
                          {"runs", Json::array()}});
  if (auto written = WriteJson(file.path_, file.json_); !written)
    return tl::unexpected(written.error());
  return file;
}

Expected<void> ResultsFile::Begin(const Json& run) {
  json_["runs"].push_back(run);
  json_["runs"].back()["status"] = "interrupted";
  return WriteJson(path_, json_);
}

Expected<void> ResultsFile::Update(const Json& run) {
  json_["runs"].back() = run;
  return WriteJson(path_, json_);
}

Expected<Json> ReadResults(const std::filesystem::path& path) {
  Expected<Json> json = ReadJson(path);
  if (!json) return json;
  FieldReader file(*json, path.string() + ": ");
  file.OneOf("schema", {kResultsSchema});
  file.Unsigned("version", {.least = 1, .most = kResultsVersion});
  const Json runs = file.Any("runs");
  if (!runs.is_array()) file.Fail("runs", "a list", Describe(runs));
  if (!file.ok()) return tl::unexpected(file.Finish().error());
  return json;
}

}  // namespace shoal::bench
