"""The noisy neighbour as an SVG: text that is text, nothing from elsewhere, for light and dark.

On the left how far the quiet tenants' p99 moves when the noisy one comes; on the right the same
over time. Milliseconds are on logarithmic scales everywhere: equal distances are equal factors.
"""

import math
from xml.sax.saxutils import escape

from . import noisy
from .report import median

WIDTH = 960
# Of one kind of noise: its title, then the two panels.
SECTION, PANEL_TOP, PANEL = 290, 40, 200
# From where to where the two panels go.
LEFT, RIGHT = (190, 415), (590, 940)
# Each contender's: they differ in more than the colour, for those that lie on each other.
LINES = (
    ("#2f81f7", ""), ("#c9871a", "9 4"), ("#2da44e", "14 3 3 3"), ("#d0539b", "3 4"),
    ("#8c959f", "1 5"),
)
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .small { font-size: 11px }
  .faint { fill: #59636e }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  .paper { fill: #ffffff }
  .grid { stroke: #818b98; stroke-opacity: 0.3 }
  .band { fill: #818b98; fill-opacity: 0.14 }
  .curve { fill: none; stroke-width: 2; stroke-linejoin: round }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .faint { fill: #9198a1 }
    .paper { fill: #0d1117 }
  }
"""


class Scale:
    """From milliseconds, or seconds, to where that is on the drawing."""

    def __init__(self, low, high, start, end, logarithmic=True):
        self._shape = math.log10 if logarithmic else float
        self._low, self._start = self._shape(low), start
        self._stretch = (end - start) / (self._shape(high) - self._low)

    def __call__(self, value):
        return round(self._start + (self._shape(value) - self._low) * self._stretch, 1)


def write(path, caption, results):
    """Draws `results`, which map (kind, contender) to the samples of its rounds."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(_drawing(caption, results))


def _drawing(caption, results):
    kinds = [kind for kind in noisy.KINDS if any(of == kind for of, _ in results)]
    names = list(dict.fromkeys(name for _, name in results))
    looks = {name: LINES[nth % len(LINES)] for nth, name in enumerate(names)}
    decades = _decades(results)
    height = 60 + SECTION * len(kinds) + 24
    what = (
        f"99th percentile of {noisy.QUIET_TENANTS} quiet tenants' latency, "
        f"before, while and after one tenant with {noisy.NOISY_CLIENTS} clients is there"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(what)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
        _text(20, 30, "A noisy neighbour", "title"),
        _text(20, 50, what, "faint"),
    ]
    for nth, kind in enumerate(kinds):
        of_kind = {name: results[kind, name] for name in names if (kind, name) in results}
        parts += [
            f'<g transform="translate(0 {60 + SECTION * nth})">',
            _text(20, 24, noisy.KINDS[kind]),
            *_distances(of_kind, looks, decades),
            *_curves(of_kind, looks, decades),
            "</g>",
        ]
    parts += [_text(20, height - 14, caption, "small faint"), "</svg>"]
    return "\n".join(parts) + "\n"


def _decades(results):
    """All powers of ten, in ms, between which everything lies."""
    values = []
    for samples in results.values():
        values += [median(samples, "alone_p99_ms"), median(samples, "p99_ms")]
        values += [took for _, took in noisy.median_curve(samples)]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def _distances(of_kind, looks, decades):
    """One row for each contender: from the hollow dot (alone) to the full one."""
    across = Scale(decades[0], decades[-1], *LEFT)
    bottom = PANEL_TOP + PANEL
    for decade in decades:
        yield _line(across(decade), PANEL_TOP, across(decade), bottom)
        yield _text(across(decade), bottom + 16, _duration(decade), "small faint middle")
    for nth, (name, samples) in enumerate(of_kind.items()):
        colour, _ = looks[name]
        alone, beside = median(samples, "alone_p99_ms"), median(samples, "p99_ms")
        y = PANEL_TOP + round(PANEL * (nth + 0.5) / len(of_kind), 1)
        yield _text(LEFT[0] - 14, y + 4, name, "end")
        yield (
            f'<path d="M{across(alone)} {y}H{across(beside)}" stroke="{colour}" stroke-width="4"/>'
        )
        yield (
            f'<circle cx="{across(alone)}" cy="{y}" r="5" class="paper" stroke="{colour}" '
            'stroke-width="2"/>'
        )
        yield f'<circle cx="{across(beside)}" cy="{y}" r="6" fill="{colour}"/>'
        times = median(samples, "times")
        factor = f"{times:.1f} ×" if times < 10 else f"{times:,.0f} ×"
        right = max(across(beside), across(alone))
        yield _text(right + 12, y + 4, f"{_duration(beside)}, {factor}")
    yield _text(LEFT[0], bottom + 34, "p99: ○ alone, ● beside the noisy tenant", "small faint")


def _curves(of_kind, looks, decades):
    """All contenders over the time since the noisy tenant has come."""
    bottom = PANEL_TOP + PANEL
    curves = {name: noisy.median_curve(samples) for name, samples in of_kind.items()}
    moments = [moment for curve in curves.values() for moment, _ in curve]
    half = noisy.SLICE_SECONDS / 2
    along = Scale(min(moments) - half, max(moments) + half, *RIGHT, logarithmic=False)
    up = Scale(decades[0], decades[-1], bottom, PANEL_TOP)
    come, gone = along(0), along(next(iter(of_kind.values()))[0].seconds)
    yield (
        f'<rect class="band" x="{come}" y="{PANEL_TOP}" width="{round(gone - come, 1)}" '
        f'height="{PANEL}"/>'
    )
    yield _text((come + gone) / 2, PANEL_TOP - 6, "noisy tenant", "small faint middle")
    for decade in decades:
        yield _line(RIGHT[0], up(decade), RIGHT[1], up(decade))
        yield _text(RIGHT[0] - 8, up(decade) + 4, _duration(decade), "small faint end")
    for second in range(math.ceil(min(moments)), math.floor(max(moments)) + 1):
        if second % 5 == 0:
            label = f"{second} s".replace("-", "−")
            yield _text(along(second), bottom + 16, label, "small faint middle")
    for name, curve in curves.items():
        colour, dashes = looks[name]
        path = "L".join(f"{along(moment)} {up(took)}" for moment, took in curve)
        pattern = f' stroke-dasharray="{dashes}"' if dashes else ""
        yield f'<path class="curve" stroke="{colour}"{pattern} d="M{path}"/>'
    yield _text(
        RIGHT[0], bottom + 34,
        f"p99 of what was asked in each {noisy.SLICE_SECONDS} s, median of the rounds",
        "small faint",
    )


def _duration(milliseconds):
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:,.3g} s"
    return f"{milliseconds:.2g} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"


def _text(x, y, text, style=""):
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x}" y="{y}"{kind}>{escape(text)}</text>'


def _line(x1, y1, x2, y2):
    return f'<path class="grid" d="M{x1} {y1}L{x2} {y2}"/>'
