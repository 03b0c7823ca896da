// Results: how every fallible call of shoal reports failure. The library throws nothing, prints
// nothing and never exits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#include "shoal/export.h"

namespace shoal {

enum class ErrorCode : uint8_t {
  kInvalidArgument,  // The caller's mistake: wrong dimension, k = 0, NaN in a vector, ...
  kAlreadyExists,    // The external id is in the index already.
  kNotFound,         // The external id, or the file, is not there.
  kOutOfMemory,      // The memory limit, or the machine, refused. The index is as before the call.
  kIo,               // The operating system refused a read or a write.
  kCorrupt,          // A file is not what it claims to be.
  kUnsupported,      // Valid, but not possible with this file, type or metric.
};

// The code's name as in the enum, without the k: "InvalidArgument".
SHOAL_API std::string_view ErrorCodeName(ErrorCode code);

// What went wrong. `message` is one line for a person: it names the field (and the file), what was
// expected and what was found. It ends without a full stop.
struct Error {
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string message;
};

// A value, or the reason why there is none. Test it like a bool, read it with `*` and `->`, read
// the reason with `.error()`.
template <class T>
using Result = tl::expected<T, Error>;

// A Result without a value.
using Status = Result<void>;

inline tl::unexpected<Error> MakeError(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

}  // namespace shoal
