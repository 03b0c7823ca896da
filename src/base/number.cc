#include "base/number.h"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace shoal {
namespace {

template <class T>
std::string Shortest(T number) {
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof(digits), number).ptr};
}

}  // namespace

std::string Written(double number) {
  constexpr double kExact = 1e15;  // Of whole numbers.
  if (std::abs(number) < kExact && number == std::floor(number))
    return std::to_string(static_cast<long long>(number));
  const auto as_float = static_cast<float>(number);
  std::string text =
      std::isfinite(as_float) && as_float != 0 ? Shortest(as_float) : Shortest(number);
  if (const size_t plus = text.find("e+"); plus != std::string::npos) text.erase(plus + 1, 1);
  return text;
}

std::string Hex(uint32_t number) {
  char text[16];
  std::snprintf(text, sizeof(text), "0x%08x", number);
  return text;
}

}  // namespace shoal
