"""What many prepared statements cost: of many clients, over a small pool."""

import dataclasses
import os
import statistics
import time

from . import machine
from .bench import ONE, PGBOUNCER, TWO
from .postgres import DATABASE, PASSWORD, SCALE, USER
from .report import Report, median, skipped_lines
from .scram import Client

CLIENTS = 500
# Of each client.
STATEMENTS = 20
# Those who prepare theirs one after the other, each with other ones: does it end?
GENERATIONS = 3
# Turns of executing all of them that are counted.
TURNS = 3
# Requests under way at once: enough to keep all of a pool's connections in use.
AT_ONCE = 20
# They touch what is set up once, so that it is not counted as a client's.
WARM_CLIENTS = 50
# A pooler may tidy up a moment after the last byte.
SETTLE_SECONDS = 1.0

# Whose statements they are.
KINDS = {"own": "of its own", "same": "the same ones for all"}


@dataclasses.dataclass
class Sample:
    """The figures of one run."""

    # KiB of resident memory per client.
    logged_in: float
    prepared: float
    executed: float
    # MiB of resident memory over that before the first client, after each generation has left.
    left_behind: list[float]
    # CPU of the proxy, in µs.
    prepare_us: float
    execute_us: float
    # That the server saw for each execution.
    parses: float
    # Statements that one server connection has at the end.
    on_connection: int
    # Bytes, on average.
    text: float
    # Share of the machine's CPU time that the hypervisor gave to others.
    stolen: float


def run(bench):
    """Those who can prepare, each kind of statements."""
    bench.server.count_parses()
    found = [it for it in bench.find((PGBOUNCER, ONE, TWO)) if not it.refuses("prepared")]
    kinds = {kind: f"{kind} statements" for kind in KINDS}
    results = bench.measure_anew(
        found, kinds, lambda running, kind, _: measure(bench.server, running, kind)
    )
    return Report(_markdown(bench.header(results), results, bench.skipped), results)


def measure(server, running, kind):
    """Clients come, prepare, execute each statement some times, leave; others come, prepare."""
    began, stolen = time.monotonic(), machine.stolen_seconds()
    _leave(_connect(running, WARM_CLIENTS))
    before = _resident(running)
    left_behind = []

    clients = _connect(running, CLIENTS)
    logged_in = _resident(running)
    texts, prepare_us = _prepare(running, clients, kind, 0)
    prepared = _resident(running)
    # Before it is counted each statement was executed once.
    _execute(clients)
    executions = TURNS * CLIENTS * STATEMENTS
    server.parses()
    start = running.cpu_seconds()
    for _ in range(TURNS):
        _execute(clients)
    execute_us = (running.cpu_seconds() - start) / executions * 1e6
    parses = server.parses() / executions
    executed = _resident(running)
    on_connection = int(clients[0].query("select count(*) from on_server"))
    _leave(clients)
    left_behind.append(_resident(running))

    for generation in range(1, GENERATIONS):
        clients = _connect(running, CLIENTS)
        _prepare(running, clients, kind, generation)
        _leave(clients)
        left_behind.append(_resident(running))
    running.check()
    stolen = machine.stolen_seconds() - stolen

    def per_client(resident):
        return (resident - before) / CLIENTS / 1024

    return Sample(
        *map(per_client, (logged_in, prepared, executed)),
        left_behind=[(resident - before) / 2**20 for resident in left_behind],
        prepare_us=prepare_us,
        execute_us=execute_us,
        parses=parses,
        on_connection=on_connection,
        text=statistics.mean(map(len, texts)),
        stolen=stolen / ((time.monotonic() - began) * (os.cpu_count() or 1)),
    )


def text_of(number):
    """A query as mappers write it, between 100 and 300 bytes; each number gives another one."""
    columns = ("aid", "bid", "abalance", "filler")
    listed = [f'"account"."{name}" AS "account_{name}"' for name in columns[: 1 + number % 4]]
    # No account is that poor: it is only there to make the text another one.
    return (
        f'SELECT {", ".join(listed)} FROM "pgbench_accounts" AS "account" '
        f'WHERE "account"."aid" = $1 AND "account"."abalance" > -{1_000_000_000 + number}'
    )


def _connect(running, count):
    clients = [Client(running.port, USER, PASSWORD, DATABASE) for _ in range(count)]
    for client in clients:
        client.query("select 1")
    return clients


def _leave(clients):
    for client in clients:
        client.close()


def _prepare(running, clients, kind, generation):
    """The texts, and the CPU of the proxy for each."""
    first = generation * CLIENTS * STATEMENTS
    own = CLIENTS * STATEMENTS if kind == "own" else STATEMENTS
    texts = [text_of(first + nth) for nth in range(own)]
    start = running.cpu_seconds()
    for place, client in enumerate(clients):
        for nth in range(STATEMENTS):
            client.prepare(f"statement_{nth}", texts[(place * STATEMENTS + nth) % own])
    return texts, (running.cpu_seconds() - start) / (CLIENTS * STATEMENTS) * 1e6


def _execute(clients):
    """All statements of all clients, never the same client twice at once."""
    for nth in range(STATEMENTS):
        for first in range(0, len(clients), AT_ONCE):
            together = clients[first : first + AT_ONCE]
            for place, client in enumerate(together):
                aid = (first + place) * 1987 % (SCALE * 100_000) + 1
                client.send_execute(f"statement_{nth}", str(aid))
            for client in together:
                client.finish()


def _resident(running):
    time.sleep(SETTLE_SECONDS)
    return running.resident_bytes()


def _markdown(header, results, skipped):
    """The tables. `results` maps (kind, name) to the samples of its rounds."""
    lines = ["# Many prepared statements", "", *header, ""]
    for kind, whose in KINDS.items():
        rows = {name: samples for (of, name), samples in results.items() if of == kind}
        if not rows:
            continue
        text = next(iter(rows.values()))[0].text
        lines += [
            f"## {CLIENTS} clients with {STATEMENTS} statements each, {whose}",
            "",
            f"Texts of {text:.0f} bytes on average. Memory is resident memory: KiB per client, and "
            f"MiB in all that are held when all have left, once and {GENERATIONS} times.",
            "",
            "| | CPU µs / prepare | CPU µs / execution | Parses / execution "
            "| on one server connection | KiB logged in | with statements | after executions "
            "| MiB held | MiB held at last |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
            *(f"| {name} | {_figures(samples)} |" for name, samples in rows.items()),
            "",
        ]
    return "\n".join([*lines, *skipped_lines(skipped)])


def _figures(samples):
    cells = [f"{median(samples, field):.1f}" for field in ("prepare_us", "execute_us")]
    cells.append(f"{median(samples, 'parses'):.2f}")
    cells.append(f"{median(samples, 'on_connection'):.0f}")
    cells += [f"{median(samples, field):.1f}" for field in ("logged_in", "prepared", "executed")]
    for place in (0, -1):
        cells.append(f"{statistics.median(it.left_behind[place] for it in samples):.1f}")
    return " | ".join(cells)
