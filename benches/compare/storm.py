"""Storms of logins: many clients at once, a login for each query, and who works beside them."""

import dataclasses
import os
import time

from . import beside, load, machine
from .bench import ONE, PGBOUNCER, TWO
from .postgres import DATABASE, PASSWORD, USER
from .processes import Failed
from .report import PEER, Report, first, median, ratio, shown, skipped_lines
from .scram import Client

POOLERS = (PGBOUNCER, ONE, TWO)
CLIENTS = 1000
# From one storm to the next, for those who work meanwhile.
EVERY_SECONDS = 1.0
# Of `pgbench -C`.
EACH_QUERY = (1, 32)

AT_ONCE, BESIDE = "at once", "beside"
KINDS = {
    AT_ONCE: f"{CLIENTS} logins at once",
    **{clients: f"{clients} clients that connect for each query" for clients in EACH_QUERY},
    BESIDE: "clients that work beside a storm",
}


@dataclasses.dataclass
class AtOnce:
    """All log in."""

    seconds: float
    # Of the proxy, for each.
    cpu_us: float
    failures: int
    stolen: float


@dataclasses.dataclass
class EachQuery:
    """Connect, log in, ask, leave."""

    tps: float
    cpu_us: float | None
    stolen: float


def run(bench):
    """PostgreSQL itself has no place for so many: only its own connections for each query."""

    def measure(running, kind, contender):
        if not contender.pools and kind in (AT_ONCE, BESIDE):
            return None
        began, stolen = time.monotonic(), machine.stolen_seconds()
        if kind == AT_ONCE:
            sample, figures = AtOnce, _at_once(running)
        elif kind == BESIDE:
            sample, figures = beside.Beside, _beside(bench.args, running)
        else:
            sample, figures = EachQuery, _each_query(bench, running, kind)
        running.check()
        stolen = machine.stolen_seconds() - stolen
        figures["stolen"] = stolen / ((time.monotonic() - began) * (os.cpu_count() or 1))
        return sample(**figures)

    results = bench.measure_anew(bench.find(("direct", *POOLERS)), KINDS, measure)
    return Report(_markdown(bench, results), results)


def log_in(port, count):
    """Many clients, each step of the login for all of them before the next one of any.

    So each has been let in by nobody before the last one is there. Gives those that are logged in.
    """
    steps, logged_in = {}, []
    for _ in range(count):
        try:
            client = Client(port, USER, PASSWORD, DATABASE, at_once=False)
            steps[client] = client.log_in()
        except OSError:
            # It counts as one that has not been let in.
            continue
    while steps:
        for client, step in list(steps.items()):
            try:
                next(step)
            except StopIteration:
                del steps[client]
                logged_in.append(client)
            except (Failed, OSError):
                del steps[client]
                client.close()
    return logged_in


def _at_once(running):
    # What is set up once is not a login's.
    _leave(log_in(running.port, 50))
    began, cpu = time.monotonic(), running.cpu_seconds()
    clients = log_in(running.port, CLIENTS)
    took, cpu = time.monotonic() - began, running.cpu_seconds() - cpu
    _leave(clients)
    return {
        "seconds": took, "cpu_us": cpu / CLIENTS * 1e6, "failures": CLIENTS - len(clients),
    }


def _leave(clients):
    for client in clients:
        client.close()


def _each_query(bench, running, clients):
    load.warm_up(bench.server, running, "simple")
    cpu = running.cpu_seconds()
    extra = ["-C", "-T", str(bench.args.seconds)]
    output = load.pgbench(bench.server, running, "simple", clients, extra)
    cpu = running.cpu_seconds() - cpu
    per_transaction = cpu / max(load.processed(output), 1) * 1e6
    return {
        "tps": load.per_second(output), "cpu_us": per_transaction if running.pids else None,
    }


def _beside(args, running):
    failures = 0

    def disturb():
        nonlocal failures
        began = time.monotonic()
        clients = log_in(running.port, CLIENTS)
        failures += CLIENTS - len(clients)
        _leave(clients)
        # All have the same number of logins, unless one needs longer.
        time.sleep(max(began + EVERY_SECONDS - time.monotonic(), 0))
        return len(clients)

    figures = beside.measure(running, args.seconds, disturb)
    if failures:
        raise Failed(f"{failures} logins failed")
    return figures


def _markdown(bench, results):
    lines = ["# Storms of logins", "", *bench.header(results), ""]

    def rows(kind):
        return {name: samples for (of, name), samples in results.items() if of == kind}

    def of_peer(cells, samples):
        return shown(ratio(samples, first(cells, PEER), "cpu_us"))

    if cells := rows(AT_ONCE):
        lines += [
            f"## {CLIENTS} clients at once", "",
            "Each step of all logins comes before the next of any. What it takes until all are in "
            "is mostly the clients' own time, in one process.", "",
            f"| | CPU µs / login | of {PEER} | seconds | failures |", "|---|--:|--:|--:|--:|",
        ]
        for name, it in cells.items():
            figures = [f"{median(it, 'cpu_us'):.0f}", of_peer(cells, it)]
            figures += [f"{median(it, 'seconds'):.2f}", str(sum(one.failures for one in it))]
            lines.append(f"| {name} | {' | '.join(figures)} |")
        lines.append("")
    if any(rows(clients) for clients in EACH_QUERY):
        lines += [
            "## `pgbench -C -S`: a connection for each query", "",
            f"| clients | | CPU µs / query | of {PEER} | per second |", "|--:|---|--:|--:|--:|",
        ]
        for clients in EACH_QUERY:
            cells = rows(clients)
            for name, it in cells.items():
                figures = [shown(median(it, "cpu_us"), ".0f"), of_peer(cells, it)]
                figures.append(f"{median(it, 'tps'):.0f}")
                lines.append(f"| {clients} | {name} | {' | '.join(figures)} |")
        lines.append("")
    what = f"{CLIENTS} logins at once, each {EVERY_SECONDS:.0f} s"
    lines += beside.markdown(what, bench.args.seconds, "logins", rows(BESIDE))
    return "\n".join([*lines, *skipped_lines(bench.skipped)])
