// What FilterCompiler makes and FilterExpression::Matches runs: a program for a stack machine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "filter_expression.h"

namespace shoal::vset {

// A value while it is computed with. Trivial, so that a stack of them costs nothing to make. What
// it points at belongs to the program, the attribute, or the evaluation.
struct FilterValue {
  enum class Kind : uint8_t { kNumber, kNull, kString, kTuple, kArray };
  Kind kind;
  uint32_t size;  // Of kString and kArray in bytes, of kTuple in elements.
  union {
    double number;
    const char* text;             // kString; kArray: JSON between the brackets.
    const FilterValue* elements;  // kTuple: numbers, strings and null.
  };

  static FilterValue Number(double number) {
    FilterValue value;
    value.kind = Kind::kNumber;
    value.size = 0;
    value.number = number;
    return value;
  }
  static FilterValue Null() {
    FilterValue value = Number(0);
    value.kind = Kind::kNull;
    return value;
  }
  static FilterValue Text(Kind kind, std::string_view text) {
    FilterValue value;
    value.kind = kind;
    value.size = static_cast<uint32_t>(text.size());
    value.text = text.data();
    return value;
  }
  std::string_view view() const { return {text, size}; }
};

enum class FilterOp : uint8_t {
  kLiteral,  // Pushes literals[index].
  kField,    // Pushes the field fields[index] of the attribute.
  kNot,
  kPower,
  kTimes,
  kDivide,
  kModulo,
  kPlus,
  kMinus,
  kGreater,
  kAtLeast,
  kLess,
  kAtMost,
  kEqual,
  kNotEqual,
  kIn,
  kAnd,
  kOr,
};

struct FilterExpression::Program {
  struct Instruction {
    FilterOp op;
    uint32_t index;
  };
  std::vector<Instruction> code;  // In postfix order.
  std::vector<FilterValue> literals;
  std::vector<std::vector<FilterValue>> tuples;  // The elements of each.
  std::string text;  // Of literal strings, one behind the other. Does not grow later.
  std::vector<std::string> fields;  // Each once.
};

}  // namespace shoal::vset
