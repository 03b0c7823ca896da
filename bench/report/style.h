// How a series looks: told apart by colour, by dashes and by markers, so that no one of them has to
// be seen. Colours are CSS variables (page_style.h), chosen so that people who see fewer of them
// can tell them apart, on light and on dark ground.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shoal::bench::report {

// The page has colours --c0 to --c7; 7 is grey.
inline constexpr int kColours = 8;

enum class Dash { kSolid, kDashed, kDotted, kDashDotted };
enum class Marker { kCircle, kSquare, kTriangle, kDiamond, kCross };
enum class Fill { kFull, kHollow };

struct Style {
  int colour = 0;
  Dash dash = Dash::kSolid;
  Marker marker = Marker::kCircle;
  Fill fill = Fill::kFull;

  bool operator==(const Style&) const = default;
};

// Gives engines their looks: the family ("hnswlib" of "hnswlib-u8-huge") has the colour and the
// marker, the type of the rows the dashes, further words a hollow marker. No two look the same as
// long as there are markers left. The same name always looks the same.
class Stylist {
 public:
  Style Of(std::string_view engine);

 private:
  int ColourOf(std::string_view family);

  std::vector<std::string> families_;  // Beyond the well-known ones.
  std::vector<std::pair<std::string, Style>> known_;
};

// The n-th of things that are not engines: percentiles.
Style PlainStyle(size_t n);

// "c3 dashed hollow": the CSS classes.
std::string ClassesOf(const Style& style);
// A marker around (x, y) as an SVG element.
std::string MarkerAt(const Style& style, double x, double y, std::string_view title = {});
// A short line with a marker, an SVG of its own: what a legend shows.
std::string Swatch(const Style& style);

}  // namespace shoal::bench::report
