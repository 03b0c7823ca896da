// Well-formed markup, HTML and XML at once: what is opened is closed, what is text is escaped.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shoal::bench::report {

// `text` as it may stand between tags or within a quoted attribute. Bytes that are no UTF-8 and
// characters that XML does not know become U+FFFD.
std::string Escape(std::string_view text);

// A coordinate or length in SVG user units, to a tenth.
std::string Px(double value);

class Markup {
 public:
  using Attributes = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // <tag ...>, until the Close that belongs to it.
  Markup& Open(std::string_view tag, Attributes attributes = {});
  Markup& Close();
  // <tag .../>: for SVG, and for the elements of HTML that never have an end (meta, br).
  Markup& Leaf(std::string_view tag, Attributes attributes = {});
  // <tag ...>text</tag>
  Markup& Element(std::string_view tag, Attributes attributes, std::string_view text);
  Markup& Text(std::string_view text);
  // What another Markup has made.
  Markup& Append(std::string_view markup);

  // Closes what is open and gives the text away.
  std::string Take();

 private:
  void Start(std::string_view tag, Attributes attributes);

  std::string text_;
  std::vector<std::string> open_;
};

}  // namespace shoal::bench::report
