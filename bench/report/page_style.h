// The report's CSS. No '<' and no '&': it stands in HTML, in XML and in SVG files as it is.
#pragma once

#include <string_view>

namespace shoal::bench::report {

// Colours and plots; all that a picture of its own needs. In both themes the eight colours differ
// in lightness as well as in hue. Contrast against the ground is at least 3 : 1 for lines and
// 4.5 : 1 for text.
inline constexpr std::string_view kPlotStyle = R"css(
:root {
  color-scheme: light dark;
  --ground: #ffffff; --text: #1b1f24; --soft: #57606a; --rule: #d5dae0; --tint: #f3f5f8;
  --c0: #0b57a4; --c1: #c2410c; --c2: #0a7d5a; --c3: #a3398f;
  --c4: #946200; --c5: #3d444d; --c6: #1a86b8; --c7: #6e7781;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ground: #14171c; --text: #e8eaed; --soft: #a9b1bb; --rule: #363c45; --tint: #1e232a;
    --c0: #62b0ff; --c1: #ff9056; --c2: #3ecf9a; --c3: #f0a0e0;
    --c4: #e6bd45; --c5: #d3d9e0; --c6: #8fe3ff; --c7: #939ca8;
  }
}
.plot text { font: 12.5px system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", Arial, sans-serif; }
.plot .tick { fill: var(--soft); font-size: 12px; }
.plot .title { fill: var(--soft); font-size: 12.5px; }
.plot .grid { stroke: var(--rule); stroke-width: 1; fill: none; }
.plot .axis { stroke: var(--soft); stroke-width: 1; fill: none; }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); }
.c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); } .c7 { --c: var(--c7); }
.line { stroke: var(--c); stroke-width: 2; fill: none; stroke-linejoin: round; }
.dashed .line { stroke-dasharray: 7 4; }
.dotted .line { stroke-dasharray: 2 4; }
.dashdotted .line { stroke-dasharray: 8 3 2 3; }
.whisker { stroke: var(--c); stroke-width: 1.2; opacity: .6; fill: none; }
.marker { fill: var(--c); stroke: var(--c); stroke-width: 1.4; }
.hollow .marker { fill: var(--ground); }
.leader { stroke: var(--c); stroke-width: 1; opacity: .55; fill: none; }
.plot .name { fill: var(--c, var(--text)); }
.bar .back { fill: var(--ground); }
.bar .part { fill: var(--c); stroke: var(--ground); stroke-width: 1; }
.bar.dashed .part { fill-opacity: .72; }
.bar.dotted .part, .bar.dashdotted .part { fill-opacity: .5; }
.bar.hollow .part { fill-opacity: .28; stroke: var(--c); }
.plot .value { fill: var(--text); }
.plot .value, .plot .name { paint-order: stroke; stroke: var(--ground); stroke-width: 4px;
  stroke-linejoin: round; }
)css";

inline constexpr std::string_view kPageStyle = R"css(
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 1rem; max-width: 800px; background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", Arial, sans-serif;
  overflow-wrap: break-word;
}
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0 1rem; }
h2 { font-size: 1.25rem; line-height: 1.25; margin: 2.5rem 0 .5rem; padding-top: .75rem;
  border-top: 2px solid var(--rule); }
h3 { font-size: 1.05rem; line-height: 1.3; margin: 0 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; }
a { color: var(--c0); }
nav ul { margin: 0; padding-left: 1.2rem; }
figure { margin: 1.75rem 0; }
figure p { margin: .35rem 0; }
.source { color: var(--soft); font-size: .8rem; line-height: 1.4; overflow-wrap: anywhere; }
.caveat { border-left: 4px solid var(--c1); padding: .2rem .6rem; background: var(--tint); }
.plot { display: block; width: 100%; height: auto; }
.plot.narrow, .legend { display: none; }
.legend { list-style: none; margin: 0 0 .4rem; padding: 0; font-size: .85rem; }
.legend li { display: inline-flex; align-items: center; margin-right: 1rem; }
.swatch { flex: none; margin-right: .4rem; }
.table { margin: 1rem 0; }
.caption { color: var(--soft); font-size: .85rem; line-height: 1.4; margin: 0 0 .3rem; }
/* A shadow where a wide table goes on: at rest the first two gradients hide the others. */
.scroll { overflow-x: auto; background:
  linear-gradient(to right, var(--ground) 40%, transparent) left / 2rem 100% no-repeat local,
  linear-gradient(to left, var(--ground) 40%, transparent) right / 2rem 100% no-repeat local,
  linear-gradient(to right, var(--rule), transparent) left / .7rem 100% no-repeat scroll,
  linear-gradient(to left, var(--rule), transparent) right / .7rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-size: .85rem; line-height: 1.35;
  font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
th:first-child, td:first-child { padding-left: 0; }
.number { text-align: right; white-space: nowrap; }
.words { text-align: left; }
thead th { color: var(--soft); font-weight: 600; }
tbody th { font-weight: 500; white-space: nowrap; }
details { margin: .5rem 0; font-size: .9rem; }
summary { cursor: pointer; color: var(--soft); }
pre { background: var(--tint); padding: .6rem; overflow-x: auto; font-size: .8rem; line-height: 1.4;
  white-space: pre-wrap; overflow-wrap: anywhere; }
@media screen and (max-width: 640px) {
  body { padding: .75rem; }
  .plot.wide { display: none; }
  .plot.narrow { display: block; }
  .legend { display: block; }
  table { font-size: .8rem; }
  th, td { padding: .25rem .35rem; }
  .number, tbody th { white-space: normal; }
  tbody th { min-width: 5.8rem; }
  thead th { line-height: 1.2; }
}
@media print {
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  nav, details { display: none; }
  h2, h3, .caption, .caveat { break-after: avoid; }
  /* Two plots a page. */
  figure { margin: .6rem 0; }
  .plot { width: 84%; }
  .drawing, .table, tr { break-inside: avoid; }
  .scroll { overflow: visible; background: none; }
  .source, .caption { font-size: 8pt; }
  table { font-size: 8pt; }
  th, td { padding: .15rem .35rem; }
}
)css";

}  // namespace shoal::bench::report
