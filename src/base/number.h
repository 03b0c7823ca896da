// Numbers in messages.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>

namespace shoal {

// As people write them: "7", "1.2", "2.3e19"; as many digits as tell a float from its neighbours.
std::string Written(double number);
std::string Written(std::integral auto number) { return std::to_string(number); }
// "0x0012abcd".
std::string Hex(uint32_t number);

}  // namespace shoal
