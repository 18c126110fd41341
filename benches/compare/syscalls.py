"""System calls of the proxy per transaction, by name."""

import collections
import dataclasses
import os
import statistics
import time

from . import bench as contest
from . import load, machine, tracing
from .bench import ONE, PGBOUNCER, TENANTS, TWO
from .processes import Failed
from .report import Report, skipped_lines

NAMES = (*contest.FLOORS, PGBOUNCER, ONE, TWO, ONE + TENANTS, TWO + TENANTS)
# By the number of clients: transactions of each that are counted.
TRANSACTIONS = {1: 2000, 32: 500}
# Per transaction: what is rarer has no column.
RARE = 0.005


@dataclasses.dataclass
class Sample:
    """The figures of one run."""

    # Per transaction, by name.
    calls: dict[str, float]
    # Share of the machine's CPU time that the hypervisor gave to others.
    stolen: float


def run(bench):
    """Everybody in every mode, with one client and with many."""
    try:
        tool = tracing.find()
    except Failed as why:
        bench.skip("system calls", why)
        return Report(_markdown(bench, None, {}), {})
    running = bench.start_all(bench.find(NAMES))
    cells = [(mode, clients) for mode in bench.args.modes for clients in TRANSACTIONS]

    def measure(_contender, it, mode, clients):
        return _measure(bench, tool, it, mode, clients)

    results = bench.measure_together(running, cells, measure)
    return Report(_markdown(bench, tool.name, results), results)


def _measure(bench, tool, running, mode, clients):
    """As for CPU time: what a run of one transaction each needs is taken off."""
    began, stolen = time.monotonic(), machine.stolen_seconds()

    def count(transactions):
        def pgbench(under):
            extra = ["-t", str(transactions)]
            load.pgbench(bench.server, running, mode, clients, extra, under)

        return tool.count(running.pids, pgbench, bench.directory)

    transactions = TRANSACTIONS[clients]
    before, calls = count(1), count(transactions + 1)
    calls.subtract(before)
    running.check()
    stolen = machine.stolen_seconds() - stolen
    return Sample(
        {name: calls[name] / (transactions * clients) for name in sorted(calls)},
        stolen / ((time.monotonic() - began) * (os.cpu_count() or 1)),
    )


def _markdown(bench, tool, results):
    """A table for each mode."""
    counts = " and ".join(f"{count} of each of {of}" for of, count in TRANSACTIONS.items())
    lines = [
        "# System calls per transaction", "",
        *bench.header(results, f", counted by {tool}", cpu=False), "",
        f"`pgbench -S`, {counts} clients. {tracing.AGAIN} counts those of all calls that "
        "found nothing to read, or no room to write.",
        "",
    ]
    for mode in bench.args.modes:
        rows = {key[1:]: samples for key, samples in results.items() if key[0] == mode}
        if rows:
            lines += _table(mode, rows)
    return "\n".join([*lines, *skipped_lines(bench.skipped)])


def _table(mode, rows):
    figures = {key: _medians(samples) for key, samples in rows.items()}
    most = collections.Counter()
    for calls in figures.values():
        most |= collections.Counter(calls)
    columns = sorted(
        (name for name in most if most[name] >= RARE and name != tracing.AGAIN),
        key=lambda name: (name == tracing.OTHERS, -most[name]),
    )
    yield from (f"## {mode}", "")
    yield f"| clients | | {' | '.join(columns)} | all | {tracing.AGAIN} |"
    yield "|--:|---|" + "--:|" * (len(columns) + 2)
    for clients in TRANSACTIONS:
        for (of, name), calls in figures.items():
            if of == clients:
                every = sum(count for call, count in calls.items() if call != tracing.AGAIN)
                cells = [calls.get(column, 0) for column in columns]
                cells += [every, calls.get(tracing.AGAIN, 0)]
                shown = " | ".join(f"{cell:.2f}" if cell >= RARE else "" for cell in cells)
                yield f"| {clients} | {name} | {shown} |"
    yield ""


def _medians(samples):
    names = dict.fromkeys(name for sample in samples for name in sample.calls)
    return {
        name: statistics.median(sample.calls.get(name, 0) for sample in samples) for name in names
    }
