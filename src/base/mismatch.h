// Errors that name a field, what was expected and what was found; and the check of a number.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "base/number.h"
#include "shoal/result.h"

namespace shoal {

// "field: expected <expected>, found <found>". (base/file.h has one that names a file, too.)
tl::unexpected<Error> Mismatch(ErrorCode code, std::string_view field, std::string_view expected,
                               std::string_view found);

// An error unless low <= value <= high.
template <class Number>
Status CheckRange(ErrorCode code, std::string_view field, Number value,
                  std::type_identity_t<Number> low, std::type_identity_t<Number> high) {
  if (low <= value && value <= high) return {};
  return Mismatch(code, field, Written(low) + " to " + Written(high), Written(value));
}

// For a handler of bad_alloc: the message is short enough to need no memory.
inline tl::unexpected<Error> NoMemory() { return MakeError(ErrorCode::kOutOfMemory, "no memory"); }

}  // namespace shoal
