#include "filter_expression.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <forward_list>

#include "filter_program.h"
#include "json_reader.h"

namespace shoal::vset {
namespace {

using Kind = FilterValue::Kind;

// Strings whose escapes were resolved, at fixed addresses.
using Resolved = std::forward_list<std::string>;

// False: an object, or nothing.
bool ToFilterValue(const JsonValue& json, Resolved& resolved, FilterValue& value) {
  switch (json.kind) {
    case JsonValue::Kind::kNull: value = FilterValue::Null(); return true;
    case JsonValue::Kind::kNumber: value = FilterValue::Number(json.number); return true;
    case JsonValue::Kind::kString: value = FilterValue::Text(Kind::kString, json.text); return true;
    case JsonValue::Kind::kEscapedString:
      value = FilterValue::Text(Kind::kString, resolved.emplace_front(JsonUnescape(json.text)));
      return true;
    case JsonValue::Kind::kArray: value = FilterValue::Text(Kind::kArray, json.text); return true;
    case JsonValue::Kind::kObject:
    case JsonValue::Kind::kInvalid: break;
  }
  return false;
}

// Calls visit(element) for the elements of an array, until it returns false. Returns whether the
// array was one of scalars and arrays as far as it was read.
template <class Visit>
bool ForEachElement(std::string_view array, Visit visit) {
  JsonReader reader(array);
  if (reader.AtEnd()) return true;
  do {
    const JsonValue element = reader.Read();
    if (element.kind == JsonValue::Kind::kInvalid || element.kind == JsonValue::Kind::kObject)
      return false;
    if (!visit(element)) return true;
  } while (reader.Take(','));
  return reader.AtEnd();
}

double ToNumber(const FilterValue& value) {
  if (value.kind == Kind::kNumber) return value.number;
  double number = 0;
  return value.kind == Kind::kString && ParseNumber(value.view(), &number) ? number : 0;
}

bool IsTrue(const FilterValue& value) {
  switch (value.kind) {
    case Kind::kNumber: return value.number != 0;
    case Kind::kNull: return false;
    case Kind::kString: return value.size != 0;
    case Kind::kTuple:
    case Kind::kArray: break;
  }
  return true;
}

bool AreEqual(const FilterValue& a, const FilterValue& b) {
  if (a.kind == Kind::kString && b.kind == Kind::kString) return a.view() == b.view();
  if (a.kind == Kind::kNull || b.kind == Kind::kNull) return a.kind == b.kind;
  return ToNumber(a) == ToNumber(b);
}

bool IsIn(const FilterValue& value, const FilterValue& whole) {
  switch (whole.kind) {
    case Kind::kString:
      return value.kind == Kind::kString &&
             whole.view().find(value.view()) != std::string_view::npos;
    case Kind::kTuple:
      for (uint32_t i = 0; i < whole.size; ++i)
        if (AreEqual(value, whole.elements[i])) return true;
      return false;
    case Kind::kArray: {
      bool found = false;
      ForEachElement(whole.view(), [&](const JsonValue& json) {
        Resolved resolved;
        FilterValue element{};
        found = ToFilterValue(json, resolved, element) && AreEqual(value, element);
        return !found;
      });
      return found;
    }
    case Kind::kNumber:
    case Kind::kNull: break;
  }
  return false;
}

FilterValue Apply(FilterOp op, const FilterValue& a, const FilterValue& b) {
  const auto truth = [](bool value) { return FilterValue::Number(value ? 1 : 0); };
  const auto number = [](double value) { return FilterValue::Number(value); };
  switch (op) {
    case FilterOp::kPower: return number(std::pow(ToNumber(a), ToNumber(b)));
    case FilterOp::kTimes: return number(ToNumber(a) * ToNumber(b));
    case FilterOp::kDivide: return number(ToNumber(a) / ToNumber(b));
    case FilterOp::kModulo: return number(std::fmod(ToNumber(a), ToNumber(b)));
    case FilterOp::kPlus: return number(ToNumber(a) + ToNumber(b));
    case FilterOp::kMinus: return number(ToNumber(a) - ToNumber(b));
    case FilterOp::kGreater: return truth(ToNumber(a) > ToNumber(b));
    case FilterOp::kAtLeast: return truth(ToNumber(a) >= ToNumber(b));
    case FilterOp::kLess: return truth(ToNumber(a) < ToNumber(b));
    case FilterOp::kAtMost: return truth(ToNumber(a) <= ToNumber(b));
    case FilterOp::kEqual: return truth(AreEqual(a, b));
    case FilterOp::kNotEqual: return truth(!AreEqual(a, b));
    case FilterOp::kIn: return truth(IsIn(a, b));
    case FilterOp::kAnd: return truth(IsTrue(a) && IsTrue(b));
    case FilterOp::kOr: return truth(IsTrue(a) || IsTrue(b));
    case FilterOp::kLiteral:
    case FilterOp::kField:
    case FilterOp::kNot: break;
  }
  return FilterValue::Null();
}

// The values of fields of one attribute.
class Fields {
 public:
  // False: one of them is not there, or is nothing to compute with.
  bool Read(std::string_view attribute, const std::vector<std::string>& names) {
    size_t missing = names.size();
    if (missing == 0) return true;
    uint64_t found = 0;
    JsonReader reader(attribute);
    if (!reader.Take('{')) return false;
    do {
      const JsonValue name = reader.Read();
      if (name.kind != JsonValue::Kind::kString && name.kind != JsonValue::Kind::kEscapedString)
        return false;
      if (!reader.Take(':')) return false;
      const JsonValue json = reader.Read();
      if (json.kind == JsonValue::Kind::kInvalid) return false;
      const auto at = static_cast<size_t>(std::ranges::find(names, name.text) - names.begin());
      if (at == names.size() || (found >> at & 1) != 0) continue;
      if (!ToFilterValue(json, resolved_, values_[at])) return false;
      if (json.kind == JsonValue::Kind::kArray &&
          !ForEachElement(json.text, [](const JsonValue&) { return true; }))
        return false;
      found |= uint64_t{1} << at;
      if (--missing == 0) return true;
    } while (reader.Take(','));
    return false;
  }
  const FilterValue& operator[](size_t i) const { return values_[i]; }

 private:
  static_assert(FilterExpression::kMaxFields <= 64);
  std::array<FilterValue, FilterExpression::kMaxFields> values_;  // Those that were found.
  Resolved resolved_;
};

}  // namespace

bool FilterExpression::Matches(std::string_view attribute) const {
  if (attribute.empty()) return false;
  Fields fields;
  if (!fields.Read(attribute, program_->fields)) return false;
  // Below each value but the last is an operator that waits.
  std::array<FilterValue, kMaxNesting + 1> stack;
  size_t size = 0;
  for (const auto& [op, index] : program_->code) {
    switch (op) {
      case FilterOp::kLiteral: stack[size++] = program_->literals[index]; break;
      case FilterOp::kField: stack[size++] = fields[index]; break;
      case FilterOp::kNot: {
        stack[size - 1] = FilterValue::Number(IsTrue(stack[size - 1]) ? 0 : 1);
        break;
      }
      default: stack[size - 2] = Apply(op, stack[size - 2], stack[size - 1]); --size;
    }
  }
  return IsTrue(stack[0]);
}

}  // namespace shoal::vset
