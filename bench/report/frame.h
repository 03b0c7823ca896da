// What plots have in common: sizes, the frame with its grid and its axes.
#pragma once

#include <string>

#include "report/chart.h"
#include "report/markup.h"
#include "report/scale.h"

namespace shoal::bench::report {

// The area that data are drawn in, in user units; an SVG is `width` x `height`.
struct Area {
  double width, height;
  double left, right, top, bottom;  // Its edges' coordinates, not margins.

  double X(double at) const { return left + at * (right - left); }
  double Y(double at) const { return bottom - at * (bottom - top); }
};

// Room that `text` takes in the plots' font, guessed on the safe side.
double TextWidth(std::string_view text);
// Height of a line of it.
inline constexpr double kLineHeight = 15;

// A name that is longer than plots have room for, with its middle left out.
std::string Shortened(std::string_view name);

// <svg ...>, to be closed by the caller.
void OpenSvg(Markup& svg, const Area& area, Layout layout, const std::string& label);
// Lines and round numbers.
void DrawXAxis(Markup& svg, const Area& area, const Scale& scale, const Axis& axis);
void DrawYAxis(Markup& svg, const Area& area, const Scale& scale, const Axis& axis);
// How much room the numbers left of the y axis take.
double YLabelsWidth(const Scale& scale, const Axis& axis, double height);

}  // namespace shoal::bench::report
