"""From answers and samples to figures: recall, interpolation, ratios. No I/O but truthsets."""
import array
import math
import random
import statistics

NO_ID = 0xFFFFFFFF
RECALLS = (0.90, 0.95, 0.99)
RESAMPLES = 2000


class Truth:
    """A truthset file: uint32 queries, uint32 k, queries x k ids, queries x k distances."""

    def __init__(self, path):
        with open(path, "rb") as file:
            shape = array.array("I", file.read(8))
            self.queries, self.k = shape
            self.ids = array.array("I", file.read(4 * self.queries * self.k))
            self.distances = array.array("f", file.read(4 * self.queries * self.k))
        if len(self.distances) != self.queries * self.k:
            raise ValueError(f"{path}: expected {self.queries} x {self.k} ids and distances")

    def recall(self, found, k):
        """recall@k of `found` (queries x k ids, flat); every row as near as the k-th is a true one."""
        hits = 0
        for query in range(self.queries):
            begin = query * self.k
            radius = self.distances[begin + k - 1]
            near = {
                self.ids[i] for i in range(begin, begin + self.k) if self.distances[i] <= radius
            }
            hits += min(k, len(near.intersection(found[query * k : (query + 1) * k])))
        return hits / (self.queries * k)


def read_ids(path):
    with open(path, "rb") as file:
        return array.array("I", file.read())


def at_recall(points, recall):
    """The value at `recall` on a curve of (recall, value > 0), by linear interpolation of log(value).

    None when the curve does not reach that recall; the first value when all of it lies above.
    """
    points = sorted(points)
    if not points or points[-1][0] < recall:
        return None
    if points[0][0] >= recall:
        return points[0][1]
    for (r0, v0), (r1, v1) in zip(points, points[1:]):
        if r0 <= recall <= r1:
            share = (recall - r0) / (r1 - r0) if r1 > r0 else 1.0
            return math.exp((1 - share) * math.log(v0) + share * math.log(v1))
    return None


def lists_around(curve, recalls):
    """The list sizes of `curve` (by rising list size) worth timing: those next to the recalls."""
    chosen = set()
    for target in recalls:
        below = [p["list"] for p in curve if p["recall"] < target]
        above = [p["list"] for p in curve if p["recall"] >= target]
        chosen.update(below[-1:])
        chosen.update(above[:1])
    return sorted(chosen)


def speeds_at(curve, recall):
    """Searches per second at `recall` of each round of a results file's curve; [] where it does not reach."""
    timed = [p for p in curve["points"] if p.get("qps")]
    rounds = min((len(p["qps"]) for p in timed), default=0)
    if not timed or min(p["recall"] for p in timed) > recall:
        return []
    found = [at_recall([(p["recall"], p["qps"][r]) for p in timed], recall) for r in range(rounds)]
    return [] if None in found else found


def ratio_of(above, below, paired):
    """(ratio, low, high): with the middle 95 % of a bootstrap; low and high are None with one sample.

    Paired: the median of the samples' ratios; else the ratio of the medians. The seed is fixed.
    """
    draw = random.Random(20260101)

    def median(values, again):
        return statistics.median(draw.choices(values, k=len(values)) if again else values)

    quotients = [a / b for a, b in zip(above, below)]

    def once(again):
        return median(quotients, again) if paired else median(above, again) / median(below, again)

    if len(quotients) < 2:
        return once(False), None, None
    drawn = sorted(once(True) for _ in range(RESAMPLES))
    return once(False), drawn[RESAMPLES // 40], drawn[-RESAMPLES // 40]


def took_turns(a, b):
    """Whether of the runs `a` and `b`, by their times of start, every two in a row are one of each."""
    order = sorted([(r.get("started", ""), "a") for r in a] + [(r.get("started", ""), "b") for r in b])
    pairs = list(zip(order[::2], order[1::2]))
    return len(a) == len(b) > 1 and all(x[0] and x[1] != y[1] for x, y in pairs)
