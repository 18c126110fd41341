"""Clients with small transactions, alone and then beside something large."""

import dataclasses
import time

from .crowd import Crowd, percentile
from .noisy import POINT_READ, WARM_UP
from .processes import Failed

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


def words():
    """What they do, for a report."""
    return (
        f"{CLIENTS} clients with point reads, {THINK_SECONDS * 1000:.0f} ms of thinking between "
        "them on average;"
    )
