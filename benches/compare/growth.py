"""How the cost of a transaction grows: with clients, server connections, tenants and workers.

Four ways to grow, each with all else as it is. One pooler runs for one point of one way, so that
nothing is left of another.
"""

import dataclasses
import os

from . import load
from .bench import ONE, PGBOUNCER, TENANTS, TWO
from .contenders import POOL_SIZE
from .postgres import DATABASE, PASSWORD, SCALE, USER
from .processes import Failed
from .report import Report, median, shown, skipped_lines
from .scram import Client, framed

POOLERS = (PGBOUNCER, f"{PGBOUNCER}, 2 processes", ONE, TWO)
# Clients that ask, where it is not their number that grows.
ACTIVE = 32
# Enough for each of the server connections, where those grow.
FOR_SERVERS = 100
# A client's tenants are as many as its queries.
BY_COMMENT = (
    f"\\set aid random(1, {SCALE * 100_000})\n"
    "\\set tenant random(1, {tenants})\n"
    "SELECT abalance FROM pgbench_accounts WHERE aid = :aid /* tenant_id='t:tenant' */;\n"
)
# Queries on their way at once, when all tenants are named.
TOGETHER = 500


@dataclasses.dataclass
class Way:
    """One way to grow."""

    title: str
    what: str
    points: tuple[int, ...]
    names: tuple[str, ...]


WAYS = {
    "active": Way(
        "Clients that all ask", f"clients without a pause, pools of {POOL_SIZE}",
        (1, 10, 100, 1000), POOLERS,
    ),
    "connected": Way(
        "Clients that are only connected", f"more clients beside {ACTIVE} that ask without a pause",
        (1, 10, 100, 1000, 5000), POOLERS,
    ),
    "servers": Way(
        "Server connections", f"of a pool, {FOR_SERVERS} clients without a pause",
        (1, 10, 100), POOLERS,
    ),
    "tenants": Way(
        "Tenants", f"of which each query of {ACTIVE} clients names another one in a comment",
        (1, 10, 100, 1000, 10_000, 100_000), (ONE + TENANTS, TWO + TENANTS),
    ),
}


def run(bench):
    """Each way, each point, everybody."""
    results = {}
    for way, plan in WAYS.items():
        for name in plan.names:
            if not bench.find([name]):
                continue
            for point in plan.points[: 2 if bench.args.quick else None]:
                results[way, point, name] = []
    for _ in bench.turns():
        for (way, point, name), samples in results.items():
            try:
                samples.append(_measure(bench, way, point, name))
            except (Failed, OSError) as why:
                bench.skip(f"{name}, {WAYS[way].title.lower()}, {point}", why)
    results = {key: samples for key, samples in results.items() if samples}
    return Report(_markdown(bench, results), results)


def _measure(bench, way, point, name):
    options = {}
    if way == "servers":
        options["pool_size"] = point
    running = bench.make(name, **options).start(bench.directory)
    idle = []
    try:
        if way == "tenants":
            # Only the comment names one: both would have to be the same.
            running.environment = {}
            running.script = os.path.join(bench.directory, "tenants.sql")
            with open(running.script, "w", encoding="ascii") as file:
                file.write(BY_COMMENT.replace("{tenants}", str(point)))
            _name_all(running, point)
        if way == "connected":
            for _ in range(point):
                idle.append(Client(running.port, USER, PASSWORD, DATABASE))
                idle[-1].query("select 1")
        clients = {"active": point, "servers": FOR_SERVERS}.get(way, ACTIVE)
        load.warm_up(bench.server, running, "simple")
        seconds = bench.args.seconds
        return load.measure(bench.server, running, "simple", clients, seconds, bench.directory)
    finally:
        for client in idle:
            client.close()
        running.stop()


def _name_all(running, tenants):
    """Each of them once: it is not their first time when somebody counts."""
    client = Client(running.port, USER, PASSWORD, DATABASE)
    for start in range(0, tenants, TOGETHER):
        texts = [
            f"select 1 /* tenant_id='t{nth + 1}' */"
            for nth in range(start, min(start + TOGETHER, tenants))
        ]
        client.send(b"".join(framed(b"Q", text.encode() + b"\0") for text in texts))
        for _ in texts:
            client.finish()
    client.close()


def _markdown(bench, results):
    lines = [
        "# How it grows", "", *bench.header(results), "",
        "`pgbench -S -M simple`; each figure is a pooler of its own. Ratios are the last figure "
        "over the first one, and the highest over the lowest.", "",
    ]
    for way, plan in WAYS.items():
        for field, called in (("cpu_us", "CPU µs / transaction"), ("p99_ms", "p99 ms")):
            rows = [
                _row(results, way, name, plan.points, field)
                for name in dict.fromkeys(key[2] for key in results if key[0] == way)
            ]
            if not rows:
                continue
            if field == "cpu_us":
                lines += [f"## {plan.title}", "", f"{plan.what[0].upper()}{plan.what[1:]}.", ""]
            points = " | ".join(f"{point:,}" for point in plan.points)
            lines += [
                f"| {called} | {points} | last / first | highest / lowest |",
                "|---|" + "--:|" * (len(plan.points) + 2), *rows, "",
            ]
    return "\n".join([*lines, *skipped_lines(bench.skipped)])


def _row(results, way, name, points, field):
    figures = [
        median(results[way, point, name], field) if (way, point, name) in results else None
        for point in points
    ]
    cells = [shown(figure, ".1f" if field == "cpu_us" else ".2f") for figure in figures]
    there = [figure for figure in figures if figure]
    whole = figures[0] and figures[-1]
    cells.append(shown(figures[-1] / figures[0] if whole else None))
    cells.append(shown(max(there) / min(there) if there else None))
    return f"| {name} | {' | '.join(cells)} |"
