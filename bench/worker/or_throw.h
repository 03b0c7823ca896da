// Results of the library where errors are exceptions.
#pragma once

#include <stdexcept>
#include <utility>

#include "shoal/result.h"

namespace shoal::bench {

template <class T>
T OrThrow(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace shoal::bench
