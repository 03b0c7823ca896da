// The filter language of the vector-set commands: an expression over the first-level fields of an
// element's attribute, a JSON object.
//
//   auto filter = FilterExpression::Parse(".year >= 1980 and .genre in ['drama', 'noir']");
//   filter->Matches(R"({"year": 1984, "genre": "drama"})");  // true
//
// Values: numbers (-5, 1e3), 'strings' and "strings" with backslash escapes, null, tuples
// [a, b] of numbers, strings and null, and fields .name of [A-Za-z0-9_-]. Operators, the tightest
// first; all but ** group from the left:
//
//   ( )
//   ! not
//   **                        groups from the right: 2 ** 3 ** 2 is 512
//   * / %
//   + -
//   > >= < <= == != in        in: an element of a tuple, or a part of a string
//   and &&
//   or ||
//
// A '-' before a digit belongs to the number where a value may begin: -2 ** 2 is 4.
//
// Meaning:
// - Arithmetic and < <= > >= take numbers. A string counts as the number that it spells, or 0; null
//   and a tuple count as 0. Division by 0 gives an infinity.
// - == of two strings compares bytes; null equals null only; a tuple equals a tuple of equal
//   elements; else numbers are compared. != is its opposite.
// - `in` compares elements as == does, but never a string with a number. What is on its right and
//   neither tuple nor string contains nothing.
// - True are numbers but 0 and NaN, strings that are not empty, and tuples. Operators give 1 or 0.
// - JSON's true, false and null are 1, 0 and null; an array of scalars is a tuple. Of a name that
//   is there twice the first counts.
// - A field that is not there, or is an object or an array with other elements, makes the whole
//   expression false, under `or` and `not`, too. So does an attribute that is empty or no JSON
//   object. (What objects and arrays nested in it contain is passed over, not checked.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/result.h"

namespace shoal::vset {

// A compiled expression. It does not change; any number of threads may evaluate it at the same
// time.
class FilterExpression {
 public:
  static constexpr size_t kMaxLength = 65536;  // Bytes of the text.
  static constexpr size_t kMaxNesting = 256;   // Parentheses and prefix operators that are open.

  // InvalidArgument, with the text "syntax error in FILTER expression near: " and what is left of
  // the expression from the first token that does not fit (at most 64 bytes; control characters
  // as '?'). Also for a text or nesting beyond the bounds. Linear in the text; not recursive.
  static Result<FilterExpression> Parse(std::string_view text);

  // Whether the expression is true of an element with this attribute. Linear in expression and
  // attribute, whatever they contain; not recursive. Allocates only for tuples and escaped strings
  // in the attribute, and for expressions that need more than 32 operands at a time.
  bool Matches(std::string_view attribute) const;

 private:
  friend class FilterCompiler;
  enum class Op : uint8_t;
  // What an instruction pushes is described by `index`: a number, string, tuple or field of the
  // tables below. Operators take their operands from the stack.
  struct Instruction {
    Op op;
    uint32_t index = 0;
  };
  struct Literal;
  struct Machine;
  FilterExpression() = default;

  std::vector<Instruction> program_;  // In postfix order.
  std::vector<double> numbers_;
  std::vector<std::string> strings_;
  // Elements of literal tuples, one tuple behind the other; tuple i is [begins_[i], begins_[i+1]).
  std::vector<Instruction> elements_;
  std::vector<uint32_t> begins_;
  std::vector<std::string> fields_;  // Names, each once.
  size_t stack_size_ = 0;            // Most operands at a time.
};

}  // namespace shoal::vset
