"""What drawings are made of: SVG that is text, nothing from elsewhere, for light and dark."""

import math
from xml.sax.saxutils import escape

WIDTH = 960
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


def document(height, title, what, caption, parts):
    """A whole drawing: `what` it shows is below its title, the caption at its foot."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{escape(what)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
            text(20, 30, title, "title"),
            text(20, 50, what, "faint"),
            *parts,
            text(20, height - 14, caption, "small faint"),
            "</svg>",
        ]
    )


def looks(names):
    """Colour and dashes of each name."""
    return {name: LINES[nth % len(LINES)] for nth, name in enumerate(names)}


def decades(values):
    """All powers of ten between which the values lie."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def curve(points, look):
    """A line through points of the drawing."""
    colour, dashes = look
    path = "L".join(f"{x} {y}" for x, y in points)
    pattern = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path class="curve" stroke="{colour}"{pattern} d="M{path}"/>'


def duration(milliseconds):
    """With a unit that suits it."""
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:,.3g} s"
    return f"{milliseconds:.2g} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"


def text(x, y, words, style=""):
    """Some text at a place."""
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x}" y="{y}"{kind}>{escape(words)}</text>'


def line(x1, y1, x2, y2):
    """Of the grid."""
    return f'<path class="grid" d="M{x1} {y1}L{x2} {y2}"/>'
