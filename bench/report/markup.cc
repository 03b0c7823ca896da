#include "report/markup.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>

namespace shoal::bench::report {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Length of the UTF-8 character that `text` begins with; 0: it begins with none, or with one that
// XML 1.0 forbids.
size_t CharacterLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return first >= 0x20 || first == '\t' || first == '\n' || first == '\r';
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  uint32_t code = first & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3F);
  }
  const bool too_long = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  return too_long || surrogate || code == 0xFFFE || code == 0xFFFF || code > 0x10FFFF ? 0 : length;
}

}  // namespace

std::string Escape(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    switch (text[0]) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\'': escaped += "&#39;"; break;
      default: escaped += length == 0 ? kReplacement : text.substr(0, length); break;
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return escaped;
}

std::string Px(double value) { return fmt::format("{:.1f}", value); }

void Markup::Start(std::string_view tag, Attributes attributes) {
  text_ += '<';
  text_ += tag;
  for (const auto& [name, value] : attributes) {
    text_ += fmt::format(" {}=\"{}\"", name, Escape(value));
  }
}

Markup& Markup::Open(std::string_view tag, Attributes attributes) {
  Start(tag, attributes);
  text_ += '>';
  open_.emplace_back(tag);
  return *this;
}

Markup& Markup::Close() {
  text_ += fmt::format("</{}>", open_.back());
  open_.pop_back();
  return *this;
}

Markup& Markup::Leaf(std::string_view tag, Attributes attributes) {
  Start(tag, attributes);
  text_ += "/>";
  return *this;
}

Markup& Markup::Element(std::string_view tag, Attributes attributes, std::string_view text) {
  return Open(tag, attributes).Text(text).Close();
}

Markup& Markup::Text(std::string_view text) {
  text_ += Escape(text);
  return *this;
}

Markup& Markup::Append(std::string_view markup) {
  text_ += markup;
  return *this;
}

std::string Markup::Take() {
  while (!open_.empty()) Close();
  return std::move(text_);
}

}  // namespace shoal::bench::report
