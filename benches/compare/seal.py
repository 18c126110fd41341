"""What row-level security costs a point read, and what a seal costs beside it."""

import dataclasses
import glob
import os
import subprocess
import time

from . import contenders, load, machine, processes
from .postgres import DATABASE, PASSWORD
from .report import Report, median, skipped_lines

CLIENTS = 8
ROLE = "reader"
TENANTS, ROWS = 100, 1000
# Each kind with its table, and what `pgusher policy` is asked for.
KINDS = {"no policy": None, "policy": [], "sealed policy": ["--sealed", "--with-key"]}
MODES = ("simple", "extended", "prepared")


@dataclasses.dataclass
class Sample:
    """The figures of one run."""

    tps: float
    # CPU of one transaction, in µs.
    proxy_us: float
    server_us: float
    # Share of the machine's CPU time that the hypervisor gave to others.
    stolen: float


class Kind:
    """A pgusher before a table of its own."""

    pools = True

    def __init__(self, bench, name):
        self._bench, self.name = bench, name
        self._table = "rows_" + name.replace(" ", "_")

    def start(self, directory):
        """Fills the table, starts pgusher, applies the policy."""
        server, binary = self._bench.server, contenders.find_pgusher()
        port = processes.free_port()
        base = os.path.join(directory, self._table)
        settings = f"{base}.toml"
        upstream = f"127.0.0.1:{server.port}/{DATABASE}?sslmode=disable"
        sealed = "sealed" in self.name
        with open(settings, "w", encoding="ascii") as file:
            file.write(
                f'[listen]\naddress = "127.0.0.1:{port}"\n[runtime]\nworkers = 1\n'
                f'[databases.{DATABASE}]\nurl = "postgres://{ROLE}:{PASSWORD}@{upstream}"\n'
                f'pool_size = {CLIENTS}\n[users.{ROLE}]\npassword = "{PASSWORD}"\n[tenant]\n'
                + ('[tenant.seal]\nkey = "a key for nothing but these figures"\n' if sealed else "")
            )
        server.query(
            f"create table {self._table} (tenant_id text, id int, v int);"
            f"insert into {self._table} select 't' || t, i, i from generate_series(1, {TENANTS}) t,"
            f" generate_series(1, {ROWS}) i;"
            f"create index on {self._table} (tenant_id, id);"
            f"grant select on {self._table} to {ROLE}"
        )
        if (flags := KINDS[self.name]) is not None:
            config = ["--config", settings] if sealed else []
            script = subprocess.run(
                [binary, "policy", self._table, *flags, *config],
                check=True, capture_output=True, text=True,
            ).stdout
            psql = os.path.join(server.binaries, "psql")
            subprocess.run(
                [psql, "-qX", "-v", "ON_ERROR_STOP=1", *server.arguments()], input=script,
                env={**os.environ, "PGPASSWORD": PASSWORD, "PGOPTIONS": "-c client_min_messages=warning"},
                check=True, text=True,
            )
        server.query(f"vacuum analyze {self._table}")
        process = processes.Process(
            self.name, [binary, "serve", "--config", settings], f"{base}.log", port
        )
        running = contenders.Running(port, process)
        running.script = f"{base}.sql"
        with open(running.script, "w", encoding="ascii") as file:
            file.write(
                f"\\set id random(1, {ROWS})\n"
                f"select v from {self._table} where tenant_id = 't7' and id = :id;\n"
            )
        running.environment = {"PGUSER": ROLE, "PGOPTIONS": "-c app.tenant_id=t7"}
        return running

    def refuses(self, _mode):
        """Nothing."""
        return None


class AsReader:
    """The server, as the role sees it that no policy makes an exception for."""

    def __init__(self, server):
        self.binaries, self._server = server.binaries, server

    def arguments(self, port=None):
        """How pgbench logs in as that role."""
        where = self._server.arguments(port)
        where[where.index("-U") + 1] = ROLE
        return where


def run(bench):
    """All kinds, side by side."""
    bench.server.query(f"create role {ROLE} login password '{PASSWORD}'")
    reader = AsReader(bench.server)
    running = bench.start_all([Kind(bench, name) for name in KINDS])

    def measure(_kind, it, mode, clients):
        load.pgbench(reader, it, mode, clients, ["-t", "100"])
        began, stolen = time.monotonic(), machine.stolen_seconds()
        proxy, server = it.cpu_seconds(), _server_seconds(bench.server)
        length = ["-T", str(bench.args.seconds)] if bench.args.seconds else ["-t", "200"]
        output = load.pgbench(reader, it, mode, clients, length)
        count = load.processed(output)
        proxy, server = it.cpu_seconds() - proxy, _server_seconds(bench.server) - server
        it.check()
        share = (machine.stolen_seconds() - stolen) / (
            (time.monotonic() - began) * (os.cpu_count() or 1)
        )
        return Sample(load.per_second(output), proxy / count * 1e6, server / count * 1e6, share)

    modes = [mode for mode in MODES if mode in bench.args.modes]
    # The usual warming up would be as another role.
    results = {}
    for turn in bench.turns():
        for mode in modes:
            kinds = list(running)
            for kind in kinds[turn % len(kinds):] + kinds[: turn % len(kinds)]:
                sample = measure(kind, running[kind], mode, CLIENTS)
                results.setdefault((mode, CLIENTS, kind.name), []).append(sample)
    return Report(_markdown(bench.header(results), modes, results, bench.skipped), results)


def _server_seconds(server):
    """CPU time of all its processes that are there now; the pools keep theirs."""
    postmaster = server.pid
    pids = [postmaster]
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except OSError:
            continue
        if int(text.rsplit(")", 1)[1].split()[1]) == postmaster:
            pids.append(int(text.split()[0]))
    return sum(map(processes.cpu_seconds, pids))


def _markdown(header, modes, results, skipped):
    lines = [
        *header,
        "",
        f"A point read of one row of {TENANTS * ROWS} by {CLIENTS} clients, one tenant, one worker.",
        "",
        "| protocol | | tps | CPU of pgusher, µs | CPU of PostgreSQL, µs |",
        "|---|---|---:|---:|---:|",
    ]
    for mode in modes:
        for name in KINDS:
            samples = results.get((mode, CLIENTS, name))
            if not samples:
                continue
            tps, proxy, server = (median(samples, it) for it in ("tps", "proxy_us", "server_us"))
            lines.append(f"| {mode} | {name} | {tps:,.0f} | {proxy:.1f} | {server:.1f} |")
    return "\n".join([*lines, "", *skipped_lines(skipped)])
