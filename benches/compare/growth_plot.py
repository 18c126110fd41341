"""How the cost grows, as a drawing: for each way to grow, CPU time on the left, p99 on the right.

What grows is on a logarithmic scale. Where the CPU time per transaction is a straight line there,
it grows with the logarithm; where it is level, not at all.
"""

from . import growth, svg
from .bench import TENANTS
from .report import median
from .svg import Scale

SECTION, PANEL_TOP, PANEL = 250, 34, 160
# From where to where the two panels go.
LEFT, RIGHT = (70, 440), (560, 930)
# Above all of them: what the lines are.
LEGEND = 84


def drawing(caption, results):
    """Of `results`, which map (way, point, name) to samples."""
    ways = [way for way in growth.WAYS if any(of == way for of, *_ in results)]
    names = list(dict.fromkeys(name for *_, name in results))
    # With tenants or without, it is the same line.
    looks = svg.looks(dict.fromkeys(name.removesuffix(TENANTS) for name in names))
    parts, x = [], 20
    for name in looks:
        parts += [svg.curve([(x, LEGEND - 4), (x + 28, LEGEND - 4)], looks[name])]
        parts += [svg.text(x + 34, LEGEND, name, "small")]
        x += 60 + 6 * len(name)
    for nth, way in enumerate(ways):
        parts += [
            f'<g transform="translate(0 {LEGEND + 16 + SECTION * nth})">',
            svg.text(20, 20, growth.WAYS[way].title),
            *_panel(results, way, names, looks, "cpu_us", LEFT),
            *_panel(results, way, names, looks, "p99_ms", RIGHT),
            "</g>",
        ]
    height = LEGEND + 16 + SECTION * len(ways) + 24
    what = "Left: CPU µs of the pooler per transaction. Right: 99th percentile of the latency"
    return svg.document(height, "How the cost grows", what, caption, parts)


def _panel(results, way, names, looks, field, across):
    curves = {}
    for name in names:
        points = [
            (point, median(results[of, point, it], field))
            for of, point, it in results
            if (of, it) == (way, name)
        ]
        if points:
            curves[name] = points
    values = [value for points in curves.values() for _, value in points]
    counts = [count for points in curves.values() for count, _ in points]
    bottom = PANEL_TOP + PANEL
    along = Scale(min(counts), max(counts), *across)
    if field == "cpu_us":
        marks = _marks(max(values))
        up = Scale(0, marks[-1], bottom, PANEL_TOP, logarithmic=False)
        labels = [f"{mark:g} µs" for mark in marks]
    else:
        marks = svg.decades(values)
        up = Scale(marks[0], marks[-1], bottom, PANEL_TOP)
        labels = [svg.duration(mark) for mark in marks]
    for mark, label in zip(marks, labels):
        yield svg.line(across[0], up(mark), across[1], up(mark))
        yield svg.text(across[0] - 8, up(mark) + 4, label, "small faint end")
    for count in sorted(set(counts)):
        yield svg.text(along(count), bottom + 16, f"{count:,}", "small faint middle")
    for name, points in curves.items():
        look = looks[name.removesuffix(TENANTS)]
        yield svg.curve([(along(count), up(value)) for count, value in points], look)
    if across == LEFT:
        yield svg.text(LEFT[0], bottom + 34, growth.WAYS[way].what, "small faint")


def _marks(most):
    """From zero, in steps that leave some four of them."""
    step = next(step for step in (2, 5, 10, 20, 50, 100, 200, 500, 1000) if most / step <= 5)
    return [step * nth for nth in range(int(most / step) + 2)]
