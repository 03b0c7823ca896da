"""Draws the plots of report.py with matplotlib, where that is (Debian: python3-matplotlib)."""
import itertools

try:
    import matplotlib
    import numpy  # matplotlib brings it.
    matplotlib.use("Agg")
    from matplotlib import pyplot
except ImportError:
    pyplot = None


def here():
    """Whether plots can be drawn."""
    return pyplot is not None


def _stretch_recall(axis, set_scale, values):
    """Equal factors of what is missing to 1 take equal room."""
    set_scale("function", functions=(lambda r: -numpy.log10(numpy.maximum(1.0005 - r, 1e-9)),
                                     lambda t: 1.0005 - 10.0**-t))
    marks = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)
    ticks = [m for m in marks if min(values) - 0.1 <= m <= 1 - 0.1 * (1 - max(values))]
    axis.set_ticks(ticks, [f"{t:g}" for t in ticks])


def draw(plot, path):
    """Writes a plot as what the name of `path` ends in; the same values make the same file."""
    with pyplot.rc_context({"svg.hashsalt": "shoal", "svg.fonttype": "none", "axes.grid": True,
                            "grid.alpha": 0.3}):
        height = 0.4 * len(plot.series) + 1.2 if plot.kind == "bars" else 5
        figure, axes = pyplot.subplots(figsize=(8, height))
        if plot.kind == "bars":
            names, values = zip(*reversed(plot.series))
            axes.bar_label(axes.barh(names, values), fmt=" %.4g")
        else:
            for (name, xs, ys), marker in zip(plot.series, itertools.cycle("osv^D")):
                axes.plot(xs, ys, label=name, marker=None if plot.kind == "stream" else marker, markersize=4)
            axes.set_ylabel(plot.y)
            axes.legend(fontsize="small")
        if plot.kind == "curves":
            axes.set_yscale("log")
            _stretch_recall(axes.xaxis, axes.set_xscale, [x for s in plot.series for x in s[1]])
        if plot.kind == "costs":
            axes.set(xscale="log", yscale="log")
        if plot.kind == "work":
            axes.set_xscale("log")
            _stretch_recall(axes.yaxis, axes.set_yscale, [y for s in plot.series for y in s[2]])
        axes.set(title=plot.title, xlabel=plot.x)
        dated = {"metadata": {"Date": None}} if str(path).endswith(".svg") else {}
        figure.savefig(path, bbox_inches="tight", **dated)
        pyplot.close(figure)
