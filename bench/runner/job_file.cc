#include "runner/job_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>

namespace shoal::bench {
namespace {

namespace fs = std::filesystem;

bool IsFile(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

Expected<fs::path> Search(const std::vector<fs::path>& folders, std::string_view name) {
  const fs::path path(name);
  if (path.is_absolute() && IsFile(path)) return path;
  std::vector<std::string> searched;
  for (const fs::path& folder : folders) {
    if (path.is_absolute()) break;
    if (IsFile(folder / path)) return folder / path;
    searched.push_back(fmt::format("\"{}\"", folder.string()));
  }
  if (path.is_absolute())
    return tl::unexpected(fmt::format("expected a file, found no \"{}\"", name));
  return tl::unexpected(
      fmt::format("expected a file in {}, found no \"{}\"", fmt::join(searched, ", "), name));
}

fs::path OutputDirectory(FieldReader& file, const fs::path& results) {
  const Json value = file.Any("output_directory");
  if (value.is_string() && !value.get<std::string>().empty()) return value.get<std::string>();
  if (!value.is_null()) file.Fail("output_directory", "a text or null", Describe(value));
  return results.has_parent_path() ? results.parent_path() : fs::path(".");
}

std::vector<std::string_view> TypeNames() {
  std::vector<std::string_view> names;
  for (const JobType* type : JobTypes()) names.push_back(type->name);
  return names;
}

}  // namespace

Expected<JobFile> LoadJobFile(const fs::path& path, const JobFileOptions& options) {
  const Expected<Json> json = ReadJson(path);
  if (!json) return tl::unexpected(json.error());
  FieldReader file(*json, path.string() + ": ");
  JobFile jobs;
  std::vector<fs::path> folders = options.search_directories;
  for (const std::string& folder : file.TextList("search_directories", {{}}))
    folders.push_back(path.parent_path() / folder);
  folders.emplace_back(".");
  jobs.find_input = [folders](std::string_view name) { return Search(folders, name); };
  jobs.output_directory = OutputDirectory(file, options.results);
  JobContext context;
  context.output_directory = jobs.output_directory;
  context.find_input = jobs.find_input;
  context.say = [](std::string_view) {};

  file.Objects("jobs", [&](FieldReader& job) {
    JobFile::Entry& entry = jobs.entries.emplace_back();
    entry.type = FindJobType(job.OneOf("type", TypeNames()));
    entry.name = job.Text("name", fmt::format("{}-{}", entry.type->name, jobs.entries.size()));
    if (!job.ok()) return;
    job.Object("content", [&](FieldReader& content) {
      Expected<std::unique_ptr<Job>> parsed = entry.type->parse(content, context);
      if (parsed) entry.job = std::move(*parsed);
      // What the fields' reader has found comes first: it is the cause of what the job has found.
      if (!parsed) content.FailWith(parsed.error());
      entry.input = content.understood();
    });
  });
  if (const Expected<void> fine = file.Finish(); !fine) return tl::unexpected(fine.error());
  return jobs;
}

Json ExampleJob(const JobType& type) {
  return {{"type", type.name}, {"content", Json::parse(type.skeleton)}};
}

Json SkeletonJobFile(const std::vector<const JobType*>& types) {
  Json jobs = Json::array();
  for (const JobType* type : types) jobs.push_back(ExampleJob(*type));
  return {{"search_directories", Json::array()}, {"output_directory", nullptr}, {"jobs", jobs}};
}

}  // namespace shoal::bench
