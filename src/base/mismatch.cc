#include "base/mismatch.h"

namespace shoal {

tl::unexpected<Error> Mismatch(ErrorCode code, std::string_view field, std::string_view expected,
                               std::string_view found) {
  std::string message(field);
  message.append(": expected ").append(expected).append(", found ").append(found);
  return MakeError(code, std::move(message));
}

}  // namespace shoal
