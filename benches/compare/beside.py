"""Clients with small transactions, alone and then beside something large."""

import dataclasses
import time

from .crowd import Crowd, percentile
from .noisy import POINT_READ, WARM_UP
from .processes import Failed
from .report import median

CLIENTS = 8
# Of each between two queries, on average.
THINK_SECONDS = 0.005
# Not counted at the start.
WARM_SECONDS = 0.5


@dataclasses.dataclass
class Beside:
    """Latencies of small transactions, and how much of the other thing there was meanwhile."""

    alone_p99_ms: float
    p99_ms: float
    others_per_second: float
    stolen: float

    @property
    def times(self):
        """How much longer they take, against a moment before."""
        return self.p99_ms / self.alone_p99_ms


def measure(running, seconds, disturb):
    """The fields of a sample but for `stolen`; `disturb()` says how much it has done each time."""
    with Crowd(running.port, [{}] * CLIENTS, POINT_READ, WARM_UP, THINK_SECONDS, True) as small:
        small.ready()
        counted = time.monotonic() + WARM_SECONDS
        come = counted + seconds
        gone = come + seconds
        small.go(counted - WARM_SECONDS, gone)
        time.sleep(come - time.monotonic())
        count, began = 0, time.monotonic()
        while time.monotonic() < gone:
            count += disturb()
        took = time.monotonic() - began
        asked = small.answers()["asked"]

    def p99(start, end):
        found = sorted(took * 1000 for sent, took in asked if start <= sent < end)
        if not found:
            raise Failed("no small transaction got through")
        return percentile(found, 0.99)

    return {
        "alone_p99_ms": p99(counted, come), "p99_ms": p99(come, gone),
        "others_per_second": count / took,
    }


def markdown(what, seconds, unit, cells):
    """A section of a report: `what` it was beside, and what of that is counted."""
    if not cells:
        return []
    lines = [
        f"## Small transactions beside {what}", "",
        f"{CLIENTS} clients with point reads and {THINK_SECONDS * 1000:.0f} ms of thinking between "
        f"them on average; {seconds} s alone, then as long beside it. On a machine "
        "for all together, what disturbs takes processors from them, too, whoever is in between.",
        "",
        f"| | p99 ms alone | beside it | times | {unit} / s |", "|---|--:|--:|--:|--:|",
    ]
    for name, samples in cells.items():
        figures = [f"{median(samples, field):.2f}" for field in ("alone_p99_ms", "p99_ms")]
        figures.append(f"{median(samples, 'times'):.1f}")
        figures.append(f"{median(samples, 'others_per_second'):.0f}")
        lines.append(f"| {name} | {' | '.join(figures)} |")
    return [*lines, ""]
