// Reads the values of a JSON text one by one, without a tree: for filters, which want a few fields
// of many short texts. Safe on any input: never recursive, linear, never behind the end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace shoal::vset {

struct JsonValue {
  enum class Kind : uint8_t {
    kInvalid,  // No value begins here, or it is cut off.
    kNull,
    kNumber,         // `number`; true and false are 1 and 0.
    kString,         // `text`: between the quotes.
    kEscapedString,  // Likewise, with escapes: JsonUnescape.
    kArray,          // `text`: between the brackets, unchecked.
    kObject,
  };
  Kind kind = Kind::kInvalid;
  double number = 0;
  std::string_view text = {};
};

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  // Skips white space, then takes `c` if it is next.
  bool Take(char c);
  // Skips white space, then reads a value. Arrays and objects are passed over to the bracket that
  // closes them; what is inside is not checked.
  JsonValue Read();
  // Only white space is left.
  bool AtEnd();

 private:
  void SkipSpace();
  JsonValue ReadString();
  JsonValue ReadNested(JsonValue::Kind kind);
  JsonValue ReadNumber();
  JsonValue ReadWord(std::string_view word, const JsonValue& value);

  std::string_view text_;
  size_t at_ = 0;
};

// Without escapes; \u as UTF-8 (half a pair of surrogates as U+FFFD). Of an unknown escape the
// character behind the backslash stays.
std::string JsonUnescape(std::string_view text);

// The number that all of `text` spells as strtod reads it in the C locale, leading white space
// included. False: none.
bool ParseNumber(std::string_view text, double* number);

}  // namespace shoal::vset
