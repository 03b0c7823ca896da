// A program that knows shoal only as installed headers and a library.
#include <shoal/dataset.h>
#include <shoal/diskann_files.h>
#include <shoal/exact.h>
#include <shoal/index.h>
#include <shoal/types.h>
#include <shoal/version.h>

#include <cstdio>
#include <string>

static_assert(SHOAL_VERSION ==
              SHOAL_VERSION_MAJOR * 10000 + SHOAL_VERSION_MINOR * 100 + SHOAL_VERSION_PATCH);

int main() {
  const std::string header_version = std::to_string(SHOAL_VERSION_MAJOR) + "." +
                                     std::to_string(SHOAL_VERSION_MINOR) + "." +
                                     std::to_string(SHOAL_VERSION_PATCH);
  if (shoal::Version() != header_version) return 1;
  if (shoal::ParseMetric(shoal::MetricName(shoal::Metric::kCosine)) != shoal::Metric::kCosine)
    return 2;
  std::printf("shoal %s\n", header_version.c_str());
  return 0;
}
