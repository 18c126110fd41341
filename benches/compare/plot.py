"""The noisy neighbour as a drawing.

On the left how far the quiet tenants' p99 moves when the noisy one comes; on the right the same
over time. Milliseconds are on logarithmic scales everywhere: equal distances are equal factors.
"""

import math

from . import noisy, svg
from .contenders import POOL_SIZE
from .report import median
from .svg import Scale

# Of one kind of noise: its title, then the two panels.
SECTION, PANEL_TOP, PANEL = 290, 40, 200
# From where to where the two panels go.
LEFT, RIGHT = (190, 415), (590, 940)


def drawing(caption, results):
    """One of `results`, which map (kind, contender) to the samples of its rounds."""
    kinds = [kind for kind in noisy.KINDS if any(of == kind for of, _ in results)]
    names = list(dict.fromkeys(name for _, name in results))
    looks, decades = svg.looks(names), _decades(results)
    what = (
        f"99th percentile of {noisy.QUIET_TENANTS} quiet tenants' latency, "
        f"before, while and after one tenant with {noisy.NOISY_CLIENTS} clients is there"
    )
    parts = []
    for nth, kind in enumerate(kinds):
        of_kind = {name: results[kind, name] for name in names if (kind, name) in results}
        parts += [
            f'<g transform="translate(0 {60 + SECTION * nth})">',
            svg.text(20, 24, noisy.KINDS[kind]),
            *_distances(of_kind, looks, decades),
            *_curves(of_kind, looks, decades),
            "</g>",
        ]
    height = 60 + SECTION * len(kinds) + 24
    caption += f", pools of {POOL_SIZE}"
    return svg.document(height, "A noisy neighbour", what, caption, parts)


def _decades(results):
    """In ms."""
    values = []
    for samples in results.values():
        values += [median(samples, "alone_p99_ms"), median(samples, "p99_ms")]
        values += [took for _, took in noisy.median_curve(samples)]
    return svg.decades(values)


def _distances(of_kind, looks, decades):
    """One row for each contender: from the hollow dot (alone) to the full one."""
    across = Scale(decades[0], decades[-1], *LEFT)
    bottom = PANEL_TOP + PANEL
    for decade in decades:
        yield svg.line(across(decade), PANEL_TOP, across(decade), bottom)
        yield svg.text(across(decade), bottom + 16, svg.duration(decade), "small faint middle")
    for nth, (name, samples) in enumerate(of_kind.items()):
        colour, _ = looks[name]
        alone, beside = median(samples, "alone_p99_ms"), median(samples, "p99_ms")
        y = PANEL_TOP + round(PANEL * (nth + 0.5) / len(of_kind), 1)
        yield svg.text(LEFT[0] - 14, y + 4, name, "end")
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
        yield svg.text(right + 12, y + 4, f"{svg.duration(beside)}, {factor}")
    yield svg.text(LEFT[0], bottom + 34, "p99: ○ alone, ● beside the noisy tenant", "small faint")


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
    yield svg.text((come + gone) / 2, PANEL_TOP - 6, "noisy tenant", "small faint middle")
    for decade in decades:
        yield svg.line(RIGHT[0], up(decade), RIGHT[1], up(decade))
        yield svg.text(RIGHT[0] - 8, up(decade) + 4, svg.duration(decade), "small faint end")
    for second in range(math.ceil(min(moments)), math.floor(max(moments)) + 1):
        if second % 5 == 0:
            label = f"{second} s".replace("-", "−")
            yield svg.text(along(second), bottom + 16, label, "small faint middle")
    for name, curve in curves.items():
        yield svg.curve([(along(moment), up(took)) for moment, took in curve], looks[name])
    yield svg.text(
        RIGHT[0], bottom + 34,
        f"p99 of what was asked in each {noisy.SLICE_SECONDS} s, median of the rounds",
        "small faint",
    )
