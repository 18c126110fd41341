"""Large amounts of data: how fast, for how much CPU, in how much memory, and beside whom."""

import dataclasses
import os
import time

from . import bench as contest
from . import beside, machine, stream
from .bench import ONE, PGBOUNCER, TWO
from .report import FLOOR, PEER, Report, first, median, ratio, shown, skipped_lines

NAMES = ("direct", *contest.FLOORS, PGBOUNCER, ONE, TWO)
# In between a reader does nothing for so long.
STALL_SECONDS = 4.0
# Goes before, so that buffers that are kept are not counted.
WARM_MIB = 16
# Each time that the stream beside them begins anew.
BESIDE_MIB = 256

STALL, BESIDE = "stall", "beside"
KINDS = {
    **{kind: kind for kind in (*stream.OUT, stream.IN)},
    STALL: "a reader that stalls",
    BESIDE: "others beside a stream",
}


@dataclasses.dataclass
class Speed:
    """Of one stream that has the machine for itself."""

    mb_per_second: float
    # CPU of the proxy; None where there is none.
    cpu_ms_per_mb: float | None
    stolen: float


@dataclasses.dataclass
class Stall:
    """MiB of resident memory: the most there was above what was there before."""

    grown_mib: float
    stolen: float


def run(bench):
    """Everybody, each kind anew."""
    bench.server.query(stream.TABLE)

    def measure(running, kind, _contender):
        if kind == STALL and not running.pids:
            return None
        began, stolen = time.monotonic(), machine.stolen_seconds()
        figures = _MEASURES.get(kind, _speed)(bench.args, running, kind)
        running.check()
        stolen = machine.stolen_seconds() - stolen
        figures["stolen"] = stolen / ((time.monotonic() - began) * (os.cpu_count() or 1))
        return _SAMPLES.get(kind, Speed)(**figures)

    results = bench.measure_anew(bench.find(NAMES), KINDS, measure)
    return Report(_markdown(bench, results), results)


def _speed(args, running, kind):
    client = stream.connect(running)
    try:
        _stream(client, kind, WARM_MIB)
        began, cpu = time.monotonic(), running.cpu_seconds()
        count = _stream(client, kind, args.mib)
        took, cpu = time.monotonic() - began, running.cpu_seconds() - cpu
    finally:
        client.close()
    per_mb = cpu * 1000 / (count / 1e6) if running.pids else None
    return {"mb_per_second": count / 1e6 / took, "cpu_ms_per_mb": per_mb}


def _stream(client, kind, mib):
    return stream.write(client, mib) if kind == stream.IN else stream.read(client, kind, mib)


def _stall(args, running, _kind):
    client = stream.connect(running)
    try:
        stream.read(client, "SELECT", WARM_MIB)
        running.forget_peak()
        before = running.resident_bytes()
        stream.read(client, "SELECT", args.mib, args.mib * stream.MIB // 2, STALL_SECONDS)
        return {"grown_mib": (running.peak_bytes() - before) / stream.MIB}
    finally:
        client.close()


def _beside(args, running, _kind):
    client = stream.connect(running)
    try:
        return beside.measure(
            running, args.seconds, lambda: stream.read(client, "SELECT", BESIDE_MIB) / 1e6
        )
    finally:
        client.close()


_MEASURES = {STALL: _stall, BESIDE: _beside}
_SAMPLES = {STALL: Stall, BESIDE: beside.Beside}


def _markdown(bench, results):
    how = f" of {bench.args.mib} MiB in rows of {stream.ROW} bytes"
    lines = ["# Large amounts of data", "", *bench.header(results, how), ""]

    def rows(kind):
        return {name: samples for (of, name), samples in results.items() if of == kind}

    for kind in (*stream.OUT, stream.IN):
        cells = rows(kind)
        if not cells:
            continue
        lines += [
            f"## {kind}", "",
            f"| | MB / s | CPU ms / MB | of {PEER} | of {FLOOR} |", "|---|--:|--:|--:|--:|",
        ]
        for name, samples in cells.items():
            figures = [
                f"{median(samples, 'mb_per_second'):.0f}",
                shown(median(samples, "cpu_ms_per_mb"), ".3f"),
                shown(ratio(samples, first(cells, PEER), "cpu_ms_per_mb")),
                shown(ratio(samples, first(cells, FLOOR), "cpu_ms_per_mb")),
            ]
            lines.append(f"| {name} | {' | '.join(figures)} |")
        lines.append("")
    if cells := rows(STALL):
        lines += [
            f"## A reader that stops for {STALL_SECONDS:.0f} s in the middle", "",
            "The most resident memory of the proxy meanwhile, over that before, MiB:", "",
            "| | |", "|---|--:|",
            *(f"| {name} | {median(it, 'grown_mib'):.1f} |" for name, it in cells.items()), "",
        ]
    what = f"a SELECT of {BESIDE_MIB} MiB, again and again"
    lines += beside.markdown(what, bench.args.seconds, "the stream, MB", rows(BESIDE))
    return "\n".join([*lines, *skipped_lines(bench.skipped)])
