// Results of which a benchmark has no use but the value.
#pragma once

#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "shoal/result.h"

namespace shoal::bench {

[[noreturn]] inline void Fail(const std::string& message) {
  fmt::print(stderr, "{}\n", message);
  std::exit(1);
}
template <class T>
T Need(Result<T> result) {
  if (!result) Fail(result.error().message);
  return std::move(*result);
}
inline void Need(const Status& status) {
  if (!status) Fail(status.error().message);
}

}  // namespace shoal::bench
