#include "runbook/stream_step.h"

#include <algorithm>
#include <cmath>
#include <fstream>

namespace shoal::bench {

Tail TailOf(std::vector<float>& microseconds) {
  if (microseconds.empty()) return {};
  std::sort(microseconds.begin(), microseconds.end());
  const auto at = [&](double share) {
    const double rank = std::ceil(share * static_cast<double>(microseconds.size()));
    return double{microseconds[static_cast<size_t>(std::max(1.0, rank)) - 1]};
  };
  return {at(0.5), at(0.99), at(0.999), double{microseconds.back()}};
}

Json TailJson(const Tail& tail) {
  return {{"p50_us", tail.p50}, {"p99_us", tail.p99}, {"p999_us", tail.p999}, {"max_us", tail.max}};
}

Resident Resident::Read() {
  Resident resident;
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    const auto kilobytes = [&](std::string_view field) {
      return std::stoull(line.substr(field.size())) * 1024;
    };
    if (line.starts_with("VmRSS:")) resident.now = kilobytes("VmRSS:");
    if (line.starts_with("VmHWM:")) resident.peak = kilobytes("VmHWM:");
  }
  return resident;
}

void Resident::ResetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

Json StepJson(const StreamStep& step) {
  Json json = {{"step", step.number},     {"operation", step.operation},
               {"seconds", step.seconds}, {"at_seconds", step.at_seconds},
               {"points", step.points},   {"live", step.live}};
  const auto put = [&](const char* name, const auto& value) {
    if (value) json[name] = *value;
  };
  put("list", step.list);
  put("recall", step.recall);
  put("recall_low", step.recall_low);
  put("recall_high", step.recall_high);
  put("qps", step.qps);
  put("distances", step.distances);
  json.update(TailJson(step.tail));
  put("insert_rate", step.insert_rate);
  put("delete_rate", step.delete_rate);
  put("replace_rate", step.replace_rate);
  put("consolidate_seconds", step.consolidate_seconds);
  put("pending_repairs", step.pending_repairs);
  json["resident_bytes"] = step.resident_bytes;
  json["peak_resident_bytes"] = step.peak_resident_bytes;
  json["index_bytes"] = step.index_bytes;
  return json;
}

}  // namespace shoal::bench
