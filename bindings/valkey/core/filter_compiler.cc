// Text to program: Dijkstra's shunting-yard algorithm, in which a value and an operator are
// expected in turns. What waits for its right side is on a stack of its own, so nothing is
// recursive.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "filter_program.h"
#include "json_reader.h"

namespace shoal::vset {
namespace {

using Kind = FilterValue::Kind;

struct Operator {
  std::string_view text;
  FilterOp op;
  uint8_t precedence;  // The tightest has the highest.
};
// A text that begins with another's comes before it.
constexpr std::array<Operator, 18> kOperators = {{
    {"**", FilterOp::kPower, 6},
    {"*", FilterOp::kTimes, 5},
    {"/", FilterOp::kDivide, 5},
    {"%", FilterOp::kModulo, 5},
    {"+", FilterOp::kPlus, 4},
    {"-", FilterOp::kMinus, 4},
    {">=", FilterOp::kAtLeast, 3},
    {">", FilterOp::kGreater, 3},
    {"<=", FilterOp::kAtMost, 3},
    {"<", FilterOp::kLess, 3},
    {"==", FilterOp::kEqual, 3},
    {"!=", FilterOp::kNotEqual, 3},
    {"in", FilterOp::kIn, 3},
    {"and", FilterOp::kAnd, 2},
    {"&&", FilterOp::kAnd, 2},
    {"or", FilterOp::kOr, 1},
    {"||", FilterOp::kOr, 1},
    {"not", FilterOp::kNot, 7},
}};
constexpr uint8_t kPrefixPrecedence = 7;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsNameCharacter(char c) { return IsDigit(c) || IsLetter(c) || c == '_' || c == '-'; }
bool IsOperatorCharacter(char c) {
  return IsLetter(c) || std::string_view("*/%+-<>=!&|").find(c) != std::string_view::npos;
}

// The end of `text`, to be shown on one line.
std::string Shown(std::string_view text) {
  constexpr size_t kMax = 64;
  if (text.size() > kMax) {
    size_t size = kMax;
    while (size > 0 && (static_cast<uint8_t>(text[size]) & 0xc0) == 0x80)
      --size;  // Not in a letter.
    text = text.substr(0, size);
  }
  std::string shown(text);
  std::ranges::replace_if(
      shown, [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7f; }, '?');
  return shown;
}

}  // namespace

class FilterCompiler {
 public:
  explicit FilterCompiler(std::string_view text)
      : text_(text), program_(std::make_shared<FilterExpression::Program>()) {
    program_->text.reserve(text.size());
  }

  Result<FilterExpression> Compile() {
    if (text_.size() > FilterExpression::kMaxLength) return Error(0);
    for (SkipSpace(); at_ < text_.size(); SkipSpace()) {
      const size_t begin = at_;
      const bool fits = value_is_next_ ? TakeOperand() : TakeOperator();
      if (!fits) return Error(failed_at_.value_or(begin));
    }
    if (value_is_next_) return Error(text_.size());
    while (!waiting_.empty()) {
      if (waiting_.back().is_parenthesis) return Error(text_.size());
      EmitTop();
    }
    return FilterExpression(std::move(program_));
  }

 private:
  struct Waiting {
    bool is_parenthesis;
    FilterOp op;
    uint8_t precedence;
  };

  tl::unexpected<shoal::Error> Error(size_t at) const {
    const std::string_view rest = text_.substr(at);
    return MakeError(ErrorCode::kInvalidArgument, "syntax error in FILTER expression near: " +
                                                      Shown(rest.empty() ? text_ : rest));
  }
  // As `false`, with the place.
  bool FailAt(size_t at) {
    failed_at_ = at;
    return false;
  }

  void SkipSpace() { at_ = std::min(text_.find_first_not_of(" \t\n\r\v\f", at_), text_.size()); }
  bool Take(std::string_view token) {
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }

  bool Wait(const Waiting& waiting) {
    if (waiting_.size() == FilterExpression::kMaxNesting) return false;
    waiting_.push_back(waiting);
    return true;
  }
  void EmitTop() {
    program_->code.push_back({waiting_.back().op, 0});
    waiting_.pop_back();
  }
  void EmitLiteral(const FilterValue& value) {
    program_->code.push_back(
        {FilterOp::kLiteral, static_cast<uint32_t>(program_->literals.size())});
    program_->literals.push_back(value);
    value_is_next_ = false;
  }

  bool TakeOperand() {
    if (Take("(")) return Wait({.is_parenthesis = true, .op = FilterOp::kNot, .precedence = 0});
    if (Take("!") || Take("not"))
      return Wait({.is_parenthesis = false, .op = FilterOp::kNot, .precedence = kPrefixPrecedence});
    if (Take(".")) return TakeField();
    if (Take("[")) return TakeTuple();
    FilterValue value{};
    if (!TakeScalar(value)) return false;
    EmitLiteral(value);
    return true;
  }

  // A number, a string or null.
  bool TakeScalar(FilterValue& value) {
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    if (c == '"' || c == '\'') return TakeString(value);
    if (IsDigit(c) || (c == '-' && at_ + 1 < text_.size() && IsDigit(text_[at_ + 1])))
      return TakeNumber(value);
    if (text_.substr(at_, 4) == "null" && (at_ + 4 == text_.size() || !IsLetter(text_[at_ + 4]))) {
      at_ += 4;
      value = FilterValue::Null();
      return true;
    }
    return UnknownToken();
  }

  bool TakeNumber(FilterValue& value) {
    const size_t begin = at_++;
    while (at_ < text_.size() &&
           (IsDigit(text_[at_]) ||
            std::string_view(".eE").find(text_[at_]) != std::string_view::npos ||
            IsSignOfExponent()))
      ++at_;
    double number = 0;
    if (!ParseNumber(text_.substr(begin, at_ - begin), &number)) return FailAt(begin);
    value = FilterValue::Number(number);
    return true;
  }
  bool IsSignOfExponent() const {
    const char c = text_[at_];
    const char before = text_[at_ - 1];
    return (c == '-' || c == '+') && (before == 'e' || before == 'E') && at_ + 1 < text_.size() &&
           IsDigit(text_[at_ + 1]);
  }

  bool TakeString(FilterValue& value) {
    const size_t begin = at_;
    const char quote = text_[at_++];
    while (at_ < text_.size() && text_[at_] != quote) at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) return FailAt(begin);
    const std::string plain = JsonUnescape(text_.substr(begin + 1, at_ - begin - 1));
    ++at_;
    // Never longer than what it is written as, so the text's memory stays where it is.
    std::string& text = program_->text;
    const size_t offset = text.size();
    text += plain;
    value = FilterValue::Text(Kind::kString, std::string_view{text}.substr(offset));
    return true;
  }

  // An operator in a value's place, or what no token begins with: a run of letters and signs is
  // skipped then, so that what is behind it is shown.
  bool UnknownToken() {
    size_t end = at_;
    if (std::ranges::any_of(
            kOperators, [&](const Operator& o) { return text_.substr(at_).starts_with(o.text); }))
      return FailAt(at_);
    while (end < text_.size() && IsOperatorCharacter(text_[end])) ++end;
    return FailAt(end);
  }

  bool TakeField() {
    const size_t begin = at_;
    while (at_ < text_.size() && IsNameCharacter(text_[at_])) ++at_;
    const std::string_view name = text_.substr(begin, at_ - begin);
    std::vector<std::string>& fields = program_->fields;
    const auto known = std::ranges::find(fields, name);
    const auto index = static_cast<uint32_t>(known - fields.begin());
    if (known == fields.end()) {
      if (fields.size() == FilterExpression::kMaxFields) return FailAt(begin - 1);
      fields.emplace_back(name);
    }
    program_->code.push_back({FilterOp::kField, index});
    value_is_next_ = false;
    return true;
  }

  bool TakeTuple() {
    const size_t begin = at_ - 1;
    std::vector<FilterValue> elements;
    for (;;) {
      SkipSpace();
      if (at_ == text_.size()) return FailAt(begin);
      if (Take("]")) break;  // Also behind a comma.
      FilterValue value{};
      if (!TakeScalar(value)) return false;
      elements.push_back(value);
      SkipSpace();
      if (at_ < text_.size() && text_[at_] != ']' && !Take(",")) return FailAt(at_);
    }
    elements.shrink_to_fit();
    FilterValue tuple = FilterValue::Number(0);
    tuple.kind = Kind::kTuple;
    tuple.size = static_cast<uint32_t>(elements.size());
    tuple.elements = elements.data();
    program_->tuples.push_back(std::move(elements));
    EmitLiteral(tuple);
    return true;
  }

  bool TakeOperator() {
    if (Take(")")) {
      while (!waiting_.empty() && !waiting_.back().is_parenthesis) EmitTop();
      if (waiting_.empty()) return FailAt(at_ - 1);
      waiting_.pop_back();
      return true;
    }
    const auto* const found = std::ranges::find_if(
        kOperators, [&](const Operator& o) { return o.op != FilterOp::kNot && Take(o.text); });
    if (found == kOperators.end()) {
      // Two values beside each other, or no token at all.
      FilterValue ignored{};
      const size_t begin = at_;
      if (std::string_view("(.[!").find(text_[at_]) != std::string_view::npos ||
          text_.substr(at_, 3) == "not" || TakeScalar(ignored))
        return FailAt(begin);
      return false;
    }
    // ** groups from the right: an equal one keeps waiting.
    const bool from_right = found->op == FilterOp::kPower;
    while (!waiting_.empty() && !waiting_.back().is_parenthesis &&
           waiting_.back().precedence + (from_right ? 0 : 1) > found->precedence)
      EmitTop();
    value_is_next_ = true;
    return Wait({.is_parenthesis = false, .op = found->op, .precedence = found->precedence});
  }

  std::string_view text_;
  size_t at_ = 0;
  bool value_is_next_ = true;
  std::optional<size_t> failed_at_;  // Where it is not where the token begins.
  std::vector<Waiting> waiting_;
  std::shared_ptr<FilterExpression::Program> program_;
};

FilterExpression::FilterExpression(std::shared_ptr<const Program> program)
    : program_(std::move(program)) {}

Result<FilterExpression> FilterExpression::Parse(std::string_view text) {
  return FilterCompiler(text).Compile();
}

}  // namespace shoal::vset
