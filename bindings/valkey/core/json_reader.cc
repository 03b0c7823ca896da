#include "json_reader.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <system_error>

namespace shoal::vset {
namespace {

// As JSON's, and as isspace's.
constexpr std::string_view kJsonSpace = " \t\n\r";
constexpr std::string_view kSpace = " \t\n\r\v\f";

// The four hexadecimal digits at text[at], or -1.
int32_t HexAt(std::string_view text, size_t at) {
  if (text.size() < at + 4) return -1;
  uint32_t value = 0;
  const char* const end = text.data() + at + 4;
  const auto [stop, error] = std::from_chars(text.data() + at, end, value, 16);
  return error == std::errc() && stop == end ? static_cast<int32_t>(value) : -1;
}

void AppendUtf8(uint32_t c, std::string& out) {
  const auto tail = [&](uint32_t shift) {
    out.push_back(static_cast<char>(0x80 | ((c >> shift) & 0x3f)));
  };
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xc0 | (c >> 6)));
    tail(0);
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xe0 | (c >> 12)));
    tail(6);
    tail(0);
  } else {
    out.push_back(static_cast<char>(0xf0 | (c >> 18)));
    tail(12);
    tail(6);
    tail(0);
  }
}

// Appends what the \u escape whose digits begin at text[at] stands for. Returns how many characters
// behind the 'u' belong to it.
size_t AppendUnicode(std::string_view text, size_t at, std::string& out) {
  const int32_t first = HexAt(text, at);
  if (first < 0) {
    out.push_back('u');
    return 0;
  }
  if (first < 0xd800 || first > 0xdfff) {
    AppendUtf8(static_cast<uint32_t>(first), out);
    return 4;
  }
  if (first < 0xdc00 && text.substr(at + 4, 2) == "\\u") {
    const int32_t second = HexAt(text, at + 6);
    if (second >= 0xdc00 && second <= 0xdfff) {
      AppendUtf8(static_cast<uint32_t>(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)),
                 out);
      return 10;
    }
  }
  AppendUtf8(0xfffd, out);
  return 4;
}

}  // namespace

void JsonReader::SkipSpace() {
  while (at_ < text_.size() && kJsonSpace.find(text_[at_]) != std::string_view::npos) ++at_;
}

bool JsonReader::Take(char c) {
  SkipSpace();
  if (at_ == text_.size() || text_[at_] != c) return false;
  ++at_;
  return true;
}

bool JsonReader::AtEnd() {
  SkipSpace();
  return at_ == text_.size();
}

JsonValue JsonReader::Read() {
  SkipSpace();
  if (at_ == text_.size()) return {};
  switch (text_[at_]) {
    case '"': return ReadString();
    case '{': return ReadNested(JsonValue::Kind::kObject);
    case '[': return ReadNested(JsonValue::Kind::kArray);
    case 't': return ReadWord("true", {.kind = JsonValue::Kind::kNumber, .number = 1});
    case 'f': return ReadWord("false", {.kind = JsonValue::Kind::kNumber, .number = 0});
    case 'n': return ReadWord("null", {.kind = JsonValue::Kind::kNull});
    default: return ReadNumber();
  }
}

JsonValue JsonReader::ReadWord(std::string_view word, const JsonValue& value) {
  if (text_.substr(at_, word.size()) != word) return {};
  at_ += word.size();
  return value;
}

JsonValue JsonReader::ReadString() {
  const size_t begin = ++at_;
  JsonValue value{.kind = JsonValue::Kind::kString};
  for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
    if (text_[at_] != '\\') continue;
    value.kind = JsonValue::Kind::kEscapedString;
    ++at_;
  }
  if (at_ >= text_.size()) return {};
  value.text = text_.substr(begin, at_ - begin);
  ++at_;
  return value;
}

JsonValue JsonReader::ReadNested(JsonValue::Kind kind) {
  const size_t begin = at_ + 1;
  size_t depth = 0;
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '"') {
      if (ReadString().kind == JsonValue::Kind::kInvalid) return {};
      continue;
    }
    ++at_;
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && --depth == 0)
      return {.kind = kind, .text = text_.substr(begin, at_ - 1 - begin)};
  }
  return {};
}

JsonValue JsonReader::ReadNumber() {
  const size_t begin = at_;
  const char first = text_[begin];
  if (first != '-' && first != '+' && (first < '0' || first > '9')) return {};
  at_ = std::min(text_.find_first_not_of("0123456789+-.eE", begin), text_.size());
  JsonValue value{.kind = JsonValue::Kind::kNumber};
  return ParseNumber(text_.substr(begin, at_ - begin), &value.number) ? value : JsonValue{};
}

std::string JsonUnescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out.push_back(text[i]);
      continue;
    }
    switch (const char c = text[++i]) {
      case 'b': out.push_back('\b'); break;
      case 'f': out.push_back('\f'); break;
      case 'n': out.push_back('\n'); break;
      case 'r': out.push_back('\r'); break;
      case 't': out.push_back('\t'); break;
      case 'u': i += AppendUnicode(text, i + 1, out); break;
      default: out.push_back(c);
    }
  }
  return out;
}

bool ParseNumber(std::string_view text, double* number) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return false;
  const std::string_view rest = text.substr(begin);
  const char* const end = rest.data() + rest.size();
  const auto [stop, error] = std::from_chars(rest.data(), end, *number);
  if (error == std::errc() && stop == end) return true;
  // A sign '+', hexadecimal, or beyond the range of a double.
  const std::string copy(rest);
  char* last = nullptr;
  *number = std::strtod(copy.c_str(), &last);
  return last == copy.c_str() + copy.size();
}

}  // namespace shoal::vset
