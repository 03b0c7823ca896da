#include "report/style.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "report/markup.h"

namespace shoal::bench::report {
namespace {

// The engines that comparisons know keep their colours from report to report.
constexpr std::array<std::string_view, 6> kFamilies = {"shoal",   "hnswlib", "faiss",
                                                       "usearch", "svs",     "diskann"};
constexpr int kMarkers = 5;

Dash DashOf(std::string_view type) {
  if (type.empty() || type == "f32") return Dash::kSolid;
  if (type == "f16" || type == "bf16") return Dash::kDashDotted;
  if (type == "u8" || type == "i8" || type == "sq8") return Dash::kDashed;
  return Dash::kDotted;
}

}  // namespace

int Stylist::ColourOf(std::string_view family) {
  const auto well_known = std::find(kFamilies.begin(), kFamilies.end(), family);
  if (well_known != kFamilies.end()) return static_cast<int>(well_known - kFamilies.begin());
  auto other = std::find(families_.begin(), families_.end(), family);
  if (other == families_.end()) other = families_.emplace(other, family);
  const auto place = static_cast<int>(other - families_.begin());
  return (static_cast<int>(kFamilies.size()) + place) % kColours;
}

Style Stylist::Of(std::string_view engine) {
  for (const auto& [name, style] : known_) {
    if (name == engine) return style;
  }
  const size_t dash = std::min(engine.find('-'), engine.size());
  const std::string_view rest = engine.substr(std::min(dash + 1, engine.size()));
  const size_t second = std::min(rest.find('-'), rest.size());
  Style style;
  style.colour = ColourOf(engine.substr(0, dash));
  style.dash = DashOf(rest.substr(0, second));
  style.marker = static_cast<Marker>(style.colour % kMarkers);
  style.fill = second < rest.size() ? Fill::kHollow : Fill::kFull;
  for (int tries = 1; tries < kMarkers; ++tries) {
    const bool taken = std::any_of(known_.begin(), known_.end(),
                                   [&](const auto& other) { return other.second == style; });
    if (!taken) break;
    style.marker = static_cast<Marker>((static_cast<int>(style.marker) + 1) % kMarkers);
  }
  known_.emplace_back(engine, style);
  return style;
}

Style PlainStyle(size_t n) {
  static constexpr std::array kPlain = {
      Style{0, Dash::kSolid, Marker::kCircle, Fill::kFull},
      Style{4, Dash::kDashed, Marker::kSquare, Fill::kFull},
      Style{1, Dash::kSolid, Marker::kTriangle, Fill::kFull},
      Style{7, Dash::kDotted, Marker::kDiamond, Fill::kFull},
      Style{2, Dash::kSolid, Marker::kDiamond, Fill::kFull},
      Style{3, Dash::kDashDotted, Marker::kCross, Fill::kFull},
  };
  return kPlain[n % kPlain.size()];
}

std::string ClassesOf(const Style& style) {
  static constexpr std::array<std::string_view, 4> kDashes = {"", " dashed", " dotted",
                                                              " dashdotted"};
  return fmt::format("c{}{}{}", style.colour, kDashes[static_cast<size_t>(style.dash)],
                     style.fill == Fill::kHollow ? " hollow" : "");
}

std::string MarkerAt(const Style& style, double x, double y, std::string_view title) {
  // Half the width of a marker; corners reach further than a circle does.
  const double r = style.marker == Marker::kCircle ? 3.6 : 4.2;
  std::string path;
  const auto point = [&](double dx, double dy) {
    path += fmt::format("{}{} {}", path.empty() ? "M" : "L", Px(x + r * dx), Px(y + r * dy));
  };
  switch (style.marker) {
    case Marker::kCircle:
      path = fmt::format("M{0} {1}a{2} {2} 0 1 0 {3} 0a{2} {2} 0 1 0 -{3} 0", Px(x - r), Px(y), r,
                         2 * r);
      break;
    case Marker::kSquare:
      for (const auto& [dx, dy] : {std::pair{-.8, -.8}, {.8, -.8}, {.8, .8}, {-.8, .8}}) {
        point(dx, dy);
      }
      break;
    case Marker::kTriangle:
      for (const auto& [dx, dy] : {std::pair{0., -1.1}, {1., .8}, {-1., .8}}) point(dx, dy);
      break;
    case Marker::kDiamond:
      for (const auto& [dx, dy] : {std::pair{0., -1.2}, {1.2, 0.}, {0., 1.2}, {-1.2, 0.}}) {
        point(dx, dy);
      }
      break;
    case Marker::kCross:
      for (const auto& [dx, dy] : {std::pair{-1., -.3},
                                   {-.3, -.3},
                                   {-.3, -1.},
                                   {.3, -1.},
                                   {.3, -.3},
                                   {1., -.3},
                                   {1., .3},
                                   {.3, .3},
                                   {.3, 1.},
                                   {-.3, 1.},
                                   {-.3, .3},
                                   {-1., .3}}) {
        point(dx, dy);
      }
      break;
  }
  path += "Z";
  Markup svg;
  if (title.empty()) {
    svg.Leaf("path", {{"class", "marker"}, {"d", path}});
  } else {
    svg.Open("path", {{"class", "marker"}, {"d", path}}).Element("title", {}, title).Close();
  }
  return svg.Take();
}

std::string Swatch(const Style& style) {
  Markup svg;
  svg.Open("svg", {{"class", "swatch"},
                   {"viewBox", "0 0 34 12"},
                   {"width", "34"},
                   {"height", "12"},
                   {"aria-hidden", "true"}});
  svg.Open("g", {{"class", ClassesOf(style)}});
  svg.Leaf("path", {{"class", "line"}, {"d", "M1 6H33"}});
  svg.Append(MarkerAt(style, 17, 6));
  return svg.Take();
}

}  // namespace shoal::bench::report
