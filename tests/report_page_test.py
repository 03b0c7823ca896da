#!/usr/bin/env python3
"""`shoal-bench report` from end to end: the page's structure, and in a browser what it looks like.

  report_page_test.py SHOAL_BENCH [unittest arguments]

Results are made up here. The browser is chromium where it is installed (SHOAL_CHROMIUM names another
program); without one only the structure is checked, and the output says so.
"""

import html.parser
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

PROGRAM = None
CHROMIUM = shutil.which(os.environ.get("SHOAL_CHROMIUM", "chromium"))
SVG = "{http://www.w3.org/2000/svg}"
XHTML = "{http://www.w3.org/1999/xhtml}"
HOSTILE = '<script>alert("x")</script> & \'quoted\' \u00e9'


def curve(engine, threads, pace):
    points = []
    for size, recall in ((10, 0.71), (30, 0.89), (59, 0.955), (115, 0.986), (180, 0.9945)):
        speed = pace * threads * 3e5 / (size + 20)
        samples = [speed * (1 + 0.02 * math.sin(i + size)) for i in range(5)]
        points.append({"list": size, "recall": recall, "qps": samples if size > 10 else [],
                       "distances": 90 + 18 * size, "p50_us": 1e6 / speed, "p99_us": 1.6e6 / speed,
                       "p999_us": 2e6 / speed})
    return {"engine": engine, "threads": threads, "points": points}


def stream(engine, steps, slower):
    made, clock = [], 0.0
    for i in range(steps):
        operation = ("insert", "delete", "search")[i % 3]
        clock += 0.1 * slower
        grown = min(i, 200)
        step = {"step": i + 1, "operation": operation, "seconds": 0.1, "at_seconds": round(clock, 3),
                "points": 100, "live": 1000 + 30 * grown, "resident_bytes": 5e7 + 4e5 * grown,
                "index_bytes": 3e7}
        if operation == "search":
            step.update(recall=0.99 - 0.0001 * (i % 7), recall_low=0.98, recall_high=1,
                        qps=9000 / slower, p50_us=80 * slower,
                        p99_us=190 * slower + i % 11, p999_us=700 * slower, max_us=4000 + i % 97)
        else:
            step.update({f"{operation}_rate": 1000 / slower + i % 13, "p50_us": 200 * slower,
                         "p99_us": 500 * slower, "p999_us": 900, "max_us": 0})
        made.append(step)
    return {"engine": engine, "steps": made}


def results(runs, **changes):
    document = {"schema": "shoal-bench-results", "version": 1,
                "machine": {"cpu": "CPU " + HOSTILE, "cores": 2, "memory_bytes": 25276514304, "isa": "avx3",
                            "kernel": "Linux 6", "commit": "0123abc", "compiler": "g++ 12",
                            "build_type": "Release", "date": "2026-01-01T00:00:00Z"},
                "command": "shoal-bench run " + HOSTILE, "runs": runs}
    return {**document, **changes}


ENGINES = ("shoal-f32", "shoal-u8", "hnswlib-f32", "faiss-f32-huge", "usearch-f32", "svs-f32",
           "diskann-f32", HOSTILE)


def comparison():
    return {"type": "compare", "name": "Side by side " + HOSTILE, "input": {"data": HOSTILE},
            "status": "finished", "started": "2026-01-01T00:00:00Z", "seconds": 3.0,
            "others_cores": 0.01, "stolen": 0.0, "warnings": ["busy " + HOSTILE],
            "results": {
                "curves": [curve(e, t, 1 + i) for i, e in enumerate(ENGINES) for t in (1, 2)],
                "builds": [{"engine": e, "threads": 2, "seconds": 10.0 + i, "cpu_seconds": 20.0,
                            **({"from": "2026-01-01"} if i % 2 else {})}
                           for i, e in enumerate(ENGINES)],
                "memory": [{"engine": e, "points": 1000, "bytes_per_point": 400 + i,
                            "parts": {"rows": 128.0, HOSTILE: 272.0}} for i, e in enumerate(ENGINES)],
                "settings": {e: {"version": "1.0", "M": 16} for e in ENGINES}}}


def streams():
    return [{"type": "runbook", "name": "Window", "status": "finished", "started": f"T{i}",
             "results": {"stream": stream(e, 3000, 1 + i)}}
            for i, e in enumerate(("shoal-u8", "hnswlib-u8"))]


def stress():
    return {"type": "store-stress", "name": "", "status": "failed", "error": "1 torn " + HOSTILE,
            "results": {"reads": 12, "note": HOSTILE}}


# What the page of all of these has to show: the beginning of a figure's id, and how many of them.
PLOTS = {"curves": 2, "work": 1, "builds": 1, "memory": 1, "recall": 1, "latency": 2, "speed": 1,
         "resident": 1, "index-bytes": 1, "live": 1, "rates": 2, "update-rates": 1, "update-latency": 2}


class Report(unittest.TestCase):
    """Makes one page of everything, once."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)
        cls.write("all.json", results([comparison(), *streams(), stress()]))
        faster = comparison()
        for c in faster["results"]["curves"]:
            for p in c["points"]:
                p["qps"] = [1.2 * q for q in p["qps"]]
        cls.write("a.json", results([comparison()]))
        cls.write("b.json", results([faster]))
        cls.page = cls.path / "report.html"
        done = cls.report("all.json", "--a", cls.path / "a.json", "--b", cls.path / "b.json",
                          "--pictures", cls.path / "pictures")
        assert done.returncode == 0, done.stderr
        cls.text = cls.page.read_text(encoding="utf-8")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def write(cls, name, document):
        (cls.path / name).write_text(json.dumps(document), encoding="utf-8")

    @classmethod
    def report(cls, name, *more):
        command = [PROGRAM, "report", cls.path / name, "-o", cls.page, *more]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)


class Structure(Report):
    def setUp(self):
        self.root = ElementTree.fromstring(self.text)  # Well-formed, or this raises.

    def figures(self):
        return {f.get("id"): f for f in self.root.iter(XHTML + "figure")}

    def test_every_plot_is_there_wide_and_narrow(self):
        kinds = [re.fullmatch(r"all-(.*)-\d+", name)[1] for name in self.figures()]
        self.assertEqual({kind: kinds.count(kind) for kind in kinds}, PLOTS)
        for name, figure in self.figures().items():
            classes = [s.get("class") for s in figure.iter(SVG + "svg") if "plot" in s.get("class")]
            self.assertEqual(classes, ["plot wide", "plot narrow"], name)
            for svg in figure.iter(SVG + "svg"):
                drawn = [e for e in svg.iter() if e.get("class") in ("line", "part")]
                self.assertTrue(drawn, name)
                self.assertTrue(svg.get("aria-label"), name)

    def test_every_plot_has_units_and_a_sentence_and_its_machine_and_command(self):
        for name, figure in self.figures().items():
            titles = [t.text for t in figure.iter(SVG + "text") if t.get("class") == "title"]
            self.assertGreaterEqual(len(titles), 2, name)  # One a layout at least; bars have no y title.
            words = {p.get("class"): "".join(p.itertext()) for p in figure.iter(XHTML + "p")}
            self.assertRegex(words["better"], "better", name)
            self.assertIn("CPU " + HOSTILE, words["source"], name)
            self.assertIn("2 cores, 25.3 GB, Linux 6, avx3", words["source"], name)
            self.assertIn("shoal-bench run " + HOSTILE, words["source"], name)

    def test_no_coordinate_is_missing_and_none_is_outside_its_picture(self):
        for svg in self.root.iter(SVG + "svg"):
            width, height = map(float, svg.get("viewBox").split()[2:])
            for element in svg.iter():
                for key in ("d", "x", "y", "width", "height"):
                    value = element.get(key, "")
                    self.assertNotRegex(value, "(?i)nan|inf", svg.get("aria-label"))
                for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", element.get("d", "")):
                    self.assertTrue(-1 <= float(x) <= width + 1, (x, svg.get("aria-label")))
                    self.assertTrue(-1 <= float(y) <= height + 1, (y, svg.get("aria-label")))

    def test_ids_are_unique_and_links_lead_to_them(self):
        ids = [e.get("id") for e in self.root.iter() if e.get("id")]
        self.assertEqual(len(ids), len(set(ids)))
        for link in self.root.iter(XHTML + "a"):
            self.assertIn(link.get("href")[1:], ids)

    def test_what_results_say_is_text_and_never_markup(self):
        self.assertEqual(list(self.root.iter(XHTML + "script")), [])
        headings = ["".join(h.itertext()) for h in self.root.iter(XHTML + "h2")]
        self.assertIn("Side by side " + HOSTILE, headings)
        caveats = ["".join(p.itertext()) for p in self.root.iter(XHTML + "p")
                   if p.get("class") == "caveat"]
        self.assertIn(f"Warning: busy {HOSTILE}.", caveats)
        self.assertIn(f"This run is marked failed: 1 torn {HOSTILE}.", caveats)

        class Tags(html.parser.HTMLParser):  # As browsers read it, not as XML.
            found = set()

            def handle_starttag(self, tag, attrs):
                self.found.add(tag)
                for name, value in attrs:
                    assert not name.startswith("on"), name

        tags = Tags()
        tags.feed(self.text)
        self.assertNotIn("script", tags.found)

    def test_every_row_has_a_cell_for_each_column(self):
        for table in self.root.iter(XHTML + "table"):
            self.assertEqual(len({len(row) for row in table.iter(XHTML + "tr")}), 1)

    def test_nothing_is_fetched(self):
        self.assertNotRegex(self.text, r"(?i)<(img|iframe|object|embed|audio|video|base)\b")
        self.assertNotRegex(self.text, r"(?i)url\(|@import")
        for link in self.root.iter(XHTML + "link"):
            self.assertTrue(link.get("href").startswith("data:"))

    def test_sides_that_differ_are_said_to(self):
        rows = [["".join(c.itertext()).replace("\u2060", "") for c in row]
                for row in self.root.find(f".//{XHTML}section[@id='ab']").iter(XHTML + "tr")]
        speeds = [r for r in rows if r[0].startswith("queries/s")]
        self.assertEqual(len(speeds), 2 * 3 * len(ENGINES))
        for row in speeds:
            self.assertTrue(row[1].startswith("1.200 ("), row)
            self.assertEqual(row[2], "B is better")

    def test_pictures_are_files_of_their_own(self):
        pictures = sorted(p.name for p in (self.path / "pictures").iterdir())
        self.assertEqual(pictures, sorted(f"{name}.svg" for name in self.figures()))
        for name in pictures:
            root = ElementTree.parse(self.path / "pictures" / name).getroot()
            self.assertEqual(root.tag, SVG + "svg")
            self.assertIsNotNone(root.find(SVG + "style"))

    def test_same_results_make_the_same_page(self):
        done = self.report("all.json", "--a", self.path / "a.json", "--b", self.path / "b.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.page.read_text(encoding="utf-8"), self.text)


class Mistakes(Report):
    def refused(self, name, *more):
        before = self.page.read_bytes()
        done = self.report(name, *more)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.page.read_bytes(), before)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stderr

    def test_another_schema_or_version_is_refused(self):
        self.write("new.json", results([], version=2))
        self.assertRegex(self.refused("new.json"), r"new\.json: .*version.*expected.*found 2")
        self.write("other.json", results([], schema="else"))
        self.assertRegex(self.refused("other.json"), r'other\.json: .*schema.*expected.*found "else"')

    def test_missing_and_broken_files_are_refused(self):
        self.assertIn("missing.json", self.refused("missing.json"))
        (self.path / "broken.json").write_text('{"schema": ')
        self.assertRegex(self.refused("broken.json"), r"broken\.json: line 1")

    def test_wrong_values_are_named_by_their_path(self):
        run = comparison()
        run["results"]["curves"][0]["points"][2]["recall"] = 95
        self.write("wrong.json", results([run]))
        self.assertIn("wrong.json: runs[0].results.curves[0].points[2].recall: expected a number in "
                      "[0, 1], found 95", self.refused("wrong.json"))

    def test_one_side_alone_is_no_comparison(self):
        self.assertIn("--a and --b", self.refused("all.json", "--a", self.path / "a.json"))


# Put into a copy of the page: what a person would see. Nothing of it is in the page itself.
PROBE = """<script>
addEventListener("load", () => {
  const told = {width: innerWidth, overflow: document.documentElement.scrollWidth - innerWidth,
                ground: getComputedStyle(document.body).backgroundColor, figures: {}, problems: []};
  for (const figure of document.querySelectorAll("figure")) {
    const seen = [...figure.querySelectorAll("svg.plot")]
        .filter(s => s.getBoundingClientRect().width > 0);
    told.figures[figure.id] = seen.map(s => [s.getAttribute("class"), s.getBoundingClientRect().width,
                                             s.getBoundingClientRect().height]);
    for (const svg of seen) {
      const box = svg.getBoundingClientRect();
      const texts = [...svg.querySelectorAll("text")]
          .map(t => [t.textContent, t.getBoundingClientRect()]);
      for (const [text, r] of texts) {
        if (r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 1 ||
            r.bottom > box.bottom + 1) told.problems.push(figure.id + ": cut off: " + text);
        if (r.height < 10) told.problems.push(figure.id + ": too small: " + text);
      }
      texts.forEach(([a, r], i) => texts.slice(i + 1).forEach(([b, s]) => {
        const across = Math.min(r.right, s.right) - Math.max(r.left, s.left);
        const down = Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top);
        if (across > 1 && down > 3) told.problems.push(figure.id + ": " + a + " lies on " + b);
      }));
    }
  }
  document.title = JSON.stringify(told);
});
</script></body>"""


@unittest.skipUnless(CHROMIUM, "no chromium here: only the page's structure was checked, not its looks "
                               "(Debian: apt-get install chromium)")
class Browser(Report):
    def chromium(self, page, *flags):
        with tempfile.TemporaryDirectory() as profile:
            command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                       "--disable-background-networking", "--disable-component-update",
                       "--disable-sync", f"--user-data-dir={profile}", *flags, page.as_uri()]
            return subprocess.run(command, capture_output=True, text=True, timeout=120)

    def look(self, *flags):
        probed = self.path / "probed.html"
        text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", self.text)
        probed.write_text(text.replace("</body>", PROBE), encoding="utf-8")
        done = self.chromium(probed, "--dump-dom", *flags)
        title = re.search(r"<title>(\{.*?\})</title>", done.stdout)
        self.assertTrue(title, done.stderr[-2000:])
        return json.loads(html.unescape(title[1]))

    def check(self, told, layout):
        self.assertEqual(told["problems"], [])
        self.assertLessEqual(told["overflow"], 0)
        self.assertEqual(len(told["figures"]), sum(PLOTS.values()))
        for name, seen in told["figures"].items():
            self.assertEqual([s[0] for s in seen], [layout], name)
            self.assertGreater(seen[0][1], 300, name)
            self.assertGreater(seen[0][2], 80, name)

    def test_wide_page_shows_every_plot_whole(self):
        self.check(self.look("--window-size=1280,900"), "plot wide")

    def test_phone_shows_every_plot_whole_and_the_page_does_not_scroll_sideways(self):
        told = self.look("--window-size=360,800")
        self.check(told, "plot narrow")
        self.assertLess(told["width"], 640)

    def test_dark_page_is_dark(self):
        light = self.look("--blink-settings=preferredColorScheme=1")["ground"]
        dark = self.look("--blink-settings=preferredColorScheme=0")["ground"]
        self.assertEqual(light, "rgb(255, 255, 255)")
        self.assertLess(max(map(int, re.findall(r"\d+", dark))), 64)

    def test_console_stays_empty(self):
        done = self.chromium(self.page, "--dump-dom", "--enable-logging=stderr", "--v=0")
        self.assertIn("</html>", done.stdout)
        self.assertEqual([line for line in done.stderr.splitlines() if "CONSOLE" in line], [])


if __name__ == "__main__":
    PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
