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
//   and a tuple count as 0. Division by 0 gives an infinity, or NaN.
// - == of two strings compares bytes; null equals null only; else numbers are compared. != is its
//   opposite.
// - `in` compares the elements of a tuple as == does. In what is neither tuple nor string is
//   nothing, and nothing but a string is in a string.
// - False are 0, the empty string and null. Operators give 1 or 0; there is no short cut.
// - JSON's true, false and null are 1, 0 and null. An array is a tuple; arrays nested in it count
// as
//   empty tuples. Of a name that is there twice the first counts. Names are compared as they are
//   written, escapes included.
// - A field that is not there, or is an object or an array with an object in it, makes the whole
//   expression false, under `or` and `not`, too. So does an empty attribute.
// - The attribute is read up to the last of the fields that the expression needs. Damage before
//   that makes the expression false, damage behind it is not noticed. What is inside nested arrays
//   and objects is passed over, not checked.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "shoal/result.h"

namespace shoal::vset {

// A compiled expression. It does not change; copies share it; any number of threads may evaluate it
// at the same time.
class FilterExpression {
 public:
  static constexpr size_t kMaxLength = 65536;  // Bytes of the text.
  static constexpr size_t kMaxNesting = 256;   // Operators and parentheses that wait for operands.
  static constexpr size_t kMaxFields = 64;     // Different names.

  // InvalidArgument, with the text "syntax error in FILTER expression near: " and what is left of
  // the expression from the token that does not fit on (at most 64 bytes; control characters as
  // '?'; all of it, if nothing is left). Also for what is beyond the bounds. Linear in the text;
  // not recursive.
  static Result<FilterExpression> Parse(std::string_view text);

  // Whether the expression is true of an element with this attribute. Takes at most about the
  // attribute's length times that of the expression, whatever they contain; not recursive.
  // Allocates only for strings with escapes.
  bool Matches(std::string_view attribute) const;

 private:
  friend class FilterCompiler;
  struct Program;
  explicit FilterExpression(std::shared_ptr<const Program> program);
  std::shared_ptr<const Program> program_;
};

}  // namespace shoal::vset
