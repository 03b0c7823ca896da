#include "report/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <string_view>

#include "report/scale.h"
#include "runner/results_file.h"

namespace shoal::bench::report {
namespace {

// Reads members and keeps the first mistake. After one, everything it returns is empty or zero.
class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  const std::string& error() const { return error_; }

  // A value and its path, for messages: "runs[0].results.curves".
  struct At {
    const Json* json;
    std::string path;
  };

  void Fail(const std::string& path, std::string_view expected, const Json& found) {
    if (!error_.empty()) return;
    error_ = fmt::format("{}: {}: expected {}, found {}", file_, path.empty() ? "document" : path,
                         expected, Describe(found));
  }

  // Null: there is no such member.
  const Json* Find(const At& object, std::string_view key) {
    if (!object.json->is_object()) {
      Fail(object.path, "an object", *object.json);
      return nullptr;
    }
    const auto found = object.json->find(key);
    return found == object.json->end() || found->is_null() ? nullptr : &*found;
  }

  std::optional<double> Number(const At& object, std::string_view key, double least = 0,
                               double most = HUGE_VAL) {
    const Json* json = Find(object, key);
    if (json == nullptr) return std::nullopt;
    const double value = json->is_number() ? json->get<double>() : NAN;
    if (value >= least && value <= most && std::isfinite(value)) return value;
    std::string expected = fmt::format("a number of at least {}", least);
    if (std::isfinite(most)) expected = fmt::format("a number in [{}, {}]", least, most);
    Fail(Path(object, key), expected, *json);
    return std::nullopt;
  }
  double Needed(const At& object, std::string_view key, double least = 0, double most = HUGE_VAL) {
    if (object.json->is_object() && Find(object, key) == nullptr) {
      Fail(Path(object, key), "a number", Json());
    }
    return Number(object, key, least, most).value_or(std::max(least, 0.0));
  }
  std::string Text(const At& object, std::string_view key) {
    const Json* json = Find(object, key);
    if (json == nullptr) return {};
    if (json->is_string()) return json->get<std::string>();
    Fail(Path(object, key), "a text", *json);
    return {};
  }
  std::string NeededText(const At& object, std::string_view key) {
    if (object.json->is_object() && Find(object, key) == nullptr) {
      Fail(Path(object, key), "a text", Json());
    }
    return Text(object, key);
  }

  using Visit = std::function<void(const At&)>;
  // Every element of the list at `key`, if there is one.
  void Each(const At& object, std::string_view key, const Visit& visit) {
    const Json* json = Find(object, key);
    if (json == nullptr) return;
    const std::string path = Path(object, key);
    if (!json->is_array()) return Fail(path, "a list", *json);
    size_t i = 0;
    for (const Json& element : *json) visit({&element, fmt::format("{}[{}]", path, i++)});
  }
  // Every member of the object at `key`, if there is one.
  void Members(const At& object, std::string_view key,
               const std::function<void(const std::string&, const At&)>& visit) {
    const Json* json = Find(object, key);
    if (json == nullptr) return;
    const std::string path = Path(object, key);
    if (!json->is_object()) return Fail(path, "an object", *json);
    for (const auto& [name, value] : json->items()) visit(name, {&value, path + '.' + name});
  }
  static std::string Path(const At& object, std::string_view key) {
    return object.path.empty() ? std::string(key) : fmt::format("{}.{}", object.path, key);
  }

 private:
  std::string file_;
  std::string error_;
};

using At = Reader::At;

// A plain value as people read it: fractions to six digits, which tell any two recalls apart.
std::string Plain(const Json& json) {
  if (json.is_number_float()) return fmt::format("{:.6g}", json.get<double>());
  return json.is_string() ? json.get<std::string>() : json.dump();
}

Curve ReadCurve(Reader& reader, const At& at) {
  Curve curve;
  curve.engine = reader.NeededText(at, "engine");
  curve.threads = static_cast<int>(reader.Needed(at, "threads", 1, 1e6));
  curve.k = static_cast<int>(reader.Number(at, "k", 1, 1e9).value_or(0));
  reader.Each(at, "points", [&](const At& point) {
    CurvePoint& p = curve.points.emplace_back();
    p.list = reader.Needed(point, "list");
    p.recall = reader.Needed(point, "recall", 0, 1);
    p.distances = reader.Number(point, "distances");
    p.p50_us = reader.Number(point, "p50_us");
    p.p99_us = reader.Number(point, "p99_us");
    p.p999_us = reader.Number(point, "p999_us");
    reader.Each(point, "qps", [&](const At& sample) {
      const double qps = sample.json->is_number() ? sample.json->get<double>() : NAN;
      if (!(qps > 0) || !std::isfinite(qps)) {
        reader.Fail(sample.path, "a number above 0", *sample.json);
      }
      p.qps.push_back(qps);
    });
  });
  std::stable_sort(curve.points.begin(), curve.points.end(),
                   [](const CurvePoint& a, const CurvePoint& b) { return a.recall < b.recall; });
  return curve;
}

Build ReadBuild(Reader& reader, const At& at) {
  Build build;
  build.engine = reader.NeededText(at, "engine");
  build.seconds = reader.Needed(at, "seconds");
  build.threads = reader.Number(at, "threads");
  build.cpu_seconds = reader.Number(at, "cpu_seconds");
  build.list = reader.Number(at, "list");
  build.from = reader.Text(at, "from");
  return build;
}

Memory ReadMemory(Reader& reader, const At& at) {
  Memory memory;
  memory.engine = reader.NeededText(at, "engine");
  memory.bytes_per_point = reader.Needed(at, "bytes_per_point");
  memory.points = reader.Number(at, "points");
  reader.Members(at, "parts", [&](const std::string& name, const At& part) {
    const double bytes = part.json->is_number() ? part.json->get<double>() : NAN;
    if (!(bytes >= 0)) reader.Fail(part.path, "a number of at least 0", *part.json);
    memory.parts.emplace_back(name, bytes);
  });
  return memory;
}

Stream ReadStream(Reader& reader, const At& at) {
  Stream stream;
  stream.engine = reader.NeededText(at, "engine");
  reader.Each(at, "steps", [&](const At& step) {
    StreamStep& s = stream.steps.emplace_back();
    s.step = reader.Needed(step, "step");
    s.operation = reader.Text(step, "operation");
    s.recall = reader.Number(step, "recall", 0, 1);
    s.recall_low = reader.Number(step, "recall_low", 0, 1);
    s.recall_high = reader.Number(step, "recall_high", 0, 1);
    struct Field {
      std::string_view name;
      std::optional<double> StreamStep::*value;
    };
    static constexpr Field kFields[] = {
        {"at_seconds", &StreamStep::at_seconds},
        {"seconds", &StreamStep::seconds},
        {"points", &StreamStep::points},
        {"live", &StreamStep::live},
        {"qps", &StreamStep::qps},
        {"p50_us", &StreamStep::p50_us},
        {"p99_us", &StreamStep::p99_us},
        {"p999_us", &StreamStep::p999_us},
        {"max_us", &StreamStep::max_us},
        {"insert_rate", &StreamStep::insert_rate},
        {"delete_rate", &StreamStep::delete_rate},
        {"replace_rate", &StreamStep::replace_rate},
        {"index_bytes", &StreamStep::index_bytes},
        {"resident_bytes", &StreamStep::resident_bytes},
    };
    for (const Field& field : kFields) s.*field.value = reader.Number(step, field.name);
  });
  return stream;
}

// The members of an object that are plain numbers or texts.
Facts PlainMembers(const Json& json) {
  Facts facts;
  if (!json.is_object()) return facts;
  for (const auto& [name, value] : json.items()) {
    if (!value.is_primitive() || value.is_null()) continue;
    const bool count = value.is_number_integer();
    facts.emplace_back(name, count ? Number(value.get<double>(), Unit::kNumber) : Plain(value));
  }
  return facts;
}

Overlap ReadOverlap(Reader& reader, const At& at) {
  Overlap overlap;
  for (const std::string_view name : {"searches", "writes", "deletes"}) {
    const Json* kind = reader.Find(at, name);
    if (kind == nullptr) continue;
    const At of{kind, Reader::Path(at, name)};
    overlap.kinds.push_back({.name = std::string(name),
                             .count = reader.Number(of, "count"),
                             .rate = reader.Number(of, "rate"),
                             .p50_us = reader.Number(of, "p50_us"),
                             .p99_us = reader.Number(of, "p99_us"),
                             .p999_us = reader.Number(of, "p999_us"),
                             .max_us = reader.Number(of, "max_us")});
  }
  overlap.plain = PlainMembers(*at.json);
  return overlap;
}

// "curves", "builds", "memory", "settings", "stream", "concurrent"; and what is plain.
void ReadSections(Reader& reader, const At& at, Run& run) {
  reader.Each(at, "curves", [&](const At& a) { run.curves.push_back(ReadCurve(reader, a)); });
  reader.Each(at, "builds", [&](const At& a) { run.builds.push_back(ReadBuild(reader, a)); });
  reader.Each(at, "memory", [&](const At& a) { run.memory.push_back(ReadMemory(reader, a)); });
  reader.Members(at, "settings", [&](const std::string& engine, const At& settings) {
    Facts facts;
    if (!settings.json->is_object()) return reader.Fail(settings.path, "an object", *settings.json);
    for (const auto& [name, value] : settings.json->items()) facts.emplace_back(name, Plain(value));
    run.settings.emplace_back(engine, std::move(facts));
  });
  if (const Json* stream = reader.Find(at, "stream")) {
    run.stream = ReadStream(reader, {stream, Reader::Path(at, "stream")});
  }
  if (const Json* overlap = reader.Find(at, "concurrent")) {
    run.overlap = ReadOverlap(reader, {overlap, Reader::Path(at, "concurrent")});
  }
  run.plain = PlainMembers(*at.json);
}

Run ReadRun(Reader& reader, const At& at) {
  Run run;
  run.type = reader.NeededText(at, "type");
  run.name = reader.Text(at, "name");
  run.status = reader.Text(at, "status");
  run.error = reader.Text(at, "error");
  run.started = reader.Text(at, "started");
  run.seconds = reader.Number(at, "seconds");
  run.others_cores = reader.Number(at, "others_cores");
  run.stolen = reader.Number(at, "stolen");
  reader.Each(at, "warnings", [&](const At& a) { run.warnings.push_back(Plain(*a.json)); });
  if (const Json* input = reader.Find(at, "input")) run.input = input->dump(2);
  if (const Json* results = reader.Find(at, "results")) {
    ReadSections(reader, {results, Reader::Path(at, "results")}, run);
  }
  return run;
}

}  // namespace

Expected<ResultsFile> ParseResults(const Json& document, const std::string& path) {
  Reader reader(path);
  const At top{&document, ""};
  ResultsFile file;
  file.name = std::filesystem::path(path).filename().string();
  file.command = reader.Text(top, "command");
  reader.Members(top, "machine", [&](const std::string& name, const At& fact) {
    file.machine.emplace_back(name, Plain(*fact.json));
  });
  reader.Each(top, "runs", [&](const At& run) { file.runs.push_back(ReadRun(reader, run)); });
  if (!reader.error().empty()) return tl::unexpected(reader.error());
  return file;
}

Expected<ResultsFile> LoadResults(const std::string& path) {
  const Expected<Json> document = ReadResults(path);
  if (!document) return tl::unexpected(document.error());
  return ParseResults(*document, path);
}

}  // namespace shoal::bench::report
