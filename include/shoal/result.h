// Results: how every call of shoal that can fail reports it. The library throws nothing, prints
// nothing and never exits.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>

#include "shoal/export.h"

namespace shoal {

enum class ErrorCode : uint8_t {
  kInvalidArgument,  // A mistake of the caller: wrong dimension, k = 0, NaN in a vector, ...
  kAlreadyExists,    // The external id is in the index already.
  kNotFound,         // The id, the key or the database's index is not there.
  kOutOfMemory,      // The memory limit is reached, or the machine has no memory left.
  kIo,               // The operating system refused a read or a write.
  kCorrupt,          // A file, or an index that is checked, breaks its own rules.
  kUnsupported,      // Valid, but not possible with this file, type or metric.
  kCancelled,        // BatchOptions::stop requested a stop before all was done.
  kConflict,         // An open Transaction of the database has what the call would write.
  kFileNotFound,     // The file, or a folder of its path, is not there.
};

// The code's name as in the enum, without the k: "InvalidArgument".
SHOAL_API std::string_view ErrorCodeName(ErrorCode code);

// Why a call failed. `message` is one line to read: it names the field (and the file), what was
// expected and what was found. It ends without a full stop.
struct Error {
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string message;
};

// A value, or the reason why there is none. Test it like a bool; read the value with `*` and `->`,
// the reason with `.error()`. Otherwise it is a tl::expected.
//
// `*`, `value()` and `error()` of a temporary Result give values, never references into it. So
// `for (const Hit& hit : *index.Search(query))` is correct: the loop keeps the hits alive. `->` of
// a temporary points into it until the end of the full expression. So `index.Search(query)->size()`
// is correct, and a loop over `index.InsertMany(ids, rows)->failures` is not. A loop over
// `(*index.InsertMany(ids, rows)).failures` is.
template <class T>
class Result : public tl::expected<T, Error> {
  using Base = tl::expected<T, Error>;
  using Reference = std::add_lvalue_reference_t<T>;
  using ConstReference = std::add_lvalue_reference_t<const T>;

 public:
  using Base::Base;

  // The value. Undefined when there is none.
  Reference operator*() & { return Base::operator*(); }
  ConstReference operator*() const& { return Base::operator*(); }
  T operator*() && { return std::move(Base::operator*()); }
  void operator*() const&& = delete;

  // The value; throws tl::bad_expected_access when there is none.
  Reference value() & { return Base::value(); }
  ConstReference value() const& { return Base::value(); }
  T value() && { return static_cast<Base&&>(*this).value(); }
  void value() const&& = delete;

  // The reason. Undefined when there is a value.
  Error& error() & { return Base::error(); }
  const Error& error() const& { return Base::error(); }
  Error error() && { return std::move(Base::error()); }
  void error() const&& = delete;

  // next(value), which returns a Result, or the same error.
  template <class Next>
  auto and_then(Next&& next) && {
    using Then = std::invoke_result_t<Next, T>;
    if (*this) return std::invoke(std::forward<Next>(next), *std::move(*this));
    Then failed = tl::unexpected(std::move(Base::error()));
    return failed;
  }
};

// A Result without a value.
using Status = Result<void>;

inline tl::unexpected<Error> MakeError(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

}  // namespace shoal
