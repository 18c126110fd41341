"""One pgbench run, and what it cost the proxy."""

import dataclasses
import glob
import math
import os
import re
import subprocess
import time

from . import machine
from .crowd import percentile
from .postgres import PASSWORD
from .processes import Failed

# Of each client, where no time is named.
QUICK_TRANSACTIONS = 200
MODES = ("simple", "extended", "prepared")


@dataclasses.dataclass
class Sample:
    """The figures of one run."""

    tps: float
    p50_ms: float
    p99_ms: float
    # None where there is no proxy.
    cpu_us: float | None
    # CPU of the proxy for one login and one goodbye.
    login_us: float | None
    # Share of the machine's CPU time that the hypervisor gave to others: above a few per cent
    # the run says little.
    stolen: float


def warm_up(server, running, mode):
    """Opens the pool's server connections and fills caches before anything is counted."""
    pgbench(server, running, mode, clients=32, extra=["-t", "50"])


def measure(server, running, mode, clients, seconds, directory):
    """Runs pgbench for some seconds; if that is none, for some transactions.

    A run of one transaction each goes before it: what the proxy spent on that, mostly on logins,
    is taken off, else 200 clients would look dear in a short run and cheap in a long one.
    """
    log = os.path.join(directory, "transactions")
    for old in glob.glob(log + ".*"):
        os.unlink(old)
    # One client is slow enough to log everything; with many a fifth tells the percentiles.
    rate = "1.0" if clients == 1 else "0.2"
    extra = ["--log", f"--log-prefix={log}", f"--sampling-rate={rate}"]

    stolen, start = machine.stolen_seconds(), running.cpu_seconds()
    began = time.monotonic()
    pgbench(server, running, mode, clients, ["-t", "1"])
    logged_in = running.cpu_seconds()
    # pgbench counts its logins as part of -T, and 200 SCRAM logins take it a second.
    length = ["-T", str(math.ceil(seconds + time.monotonic() - began))]
    if not seconds:
        length = ["-t", str(QUICK_TRANSACTIONS)]
    output = pgbench(server, running, mode, clients, [*length, *extra])
    end, stolen = running.cpu_seconds(), machine.stolen_seconds() - stolen
    running.check()

    count = processed(output)
    logins = logged_in - start
    per_transaction = (end - logged_in - logins) / max(count - clients, 1)
    latencies = _latencies(log)
    return Sample(
        tps=per_second(output),
        p50_ms=percentile(latencies, 0.50) / 1000,
        p99_ms=percentile(latencies, 0.99) / 1000,
        cpu_us=per_transaction * 1e6 if running.pids else None,
        login_us=(logins / clients - per_transaction) * 1e6 if running.pids else None,
        stolen=stolen / ((time.monotonic() - began) * (os.cpu_count() or 1)),
    )


def pgbench(server, running, mode, clients, extra, under=()):
    """Runs it to its end, `under` another program if that is named; gives what it says."""
    threads = min(clients, 2)
    what = ["-f", running.script] if running.script else ["-S"]
    command = [os.path.join(server.binaries, "pgbench"), "-n", *what, "-M", mode]
    command += ["-c", str(clients), "-j", str(threads), *extra, *server.arguments(running.port)]
    done = subprocess.run(
        [*under, *command],
        env={**os.environ, "PGPASSWORD": PASSWORD, **running.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or "number of failed transactions: 0 " not in done.stdout:
        lines = done.stderr.strip().splitlines() or ["transactions failed"]
        # The last one says which client it was; the one before says why.
        raise Failed(" / ".join(lines[-2:]))
    return done.stdout


def processed(output):
    """How many transactions there were."""
    return int(re.search(r"actually processed: (\d+)", output)[1])


def per_second(output):
    """Transactions."""
    return float(re.search(r"^tps = ([\d.]+)", output, re.MULTILINE)[1])


def _latencies(log):
    """Microseconds per transaction; pgbench writes one file per thread."""
    found = []
    for path in glob.glob(log + ".*"):
        with open(path, encoding="ascii") as file:
            found += [int(line.split()[2]) for line in file]
    if not found:
        raise Failed("pgbench logged no transaction")
    return sorted(found)
