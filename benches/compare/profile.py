"""Where each microsecond of the proxy's CPU time goes, by groups: samples of perf."""

import collections
import dataclasses
import os
import re
import shutil
import statistics
import subprocess

from . import groups, load
from .bench import ONE, PGBOUNCER, TENANTS
from .contenders import Pgusher
from .processes import Failed
from .report import Report, median, skipped_lines

NAMES = ("floor, epoll", "floor, tokio", PGBOUNCER, ONE, ONE + TENANTS)
CLIENTS = 32
SECONDS = 3
# Not a divisor of what the kernel's own ticks are.
PER_SECOND = 4999


@dataclasses.dataclass
class Sample:
    """The figures of one run."""

    # CPU µs of the proxy per transaction, measured without perf.
    cpu_us: float
    # Of that, by group.
    shares: dict[str, float]
    # How many moments they come from.
    moments: int
    # Share of the machine's CPU time that the hypervisor gave to others.
    stolen: float


def run(bench):
    """Everybody in every mode."""
    if missing := [it for it in ("perf", "addr2line") if not shutil.which(it)]:
        bench.skip("profile", f"{' and '.join(missing)} not found")
        return Report(_markdown(bench, {}), {})
    running = bench.start_all(bench.find(NAMES))
    cells = [(mode, CLIENTS) for mode in bench.args.modes]

    def measure(contender, it, mode, _clients):
        return _measure(bench, contender, it, mode)

    results = bench.measure_together(running, cells, measure)
    return Report(_markdown(bench, results), results)


def _measure(bench, contender, running, mode):
    measured = load.measure(
        bench.server, running, mode, CLIENTS, bench.args.seconds, bench.directory
    )
    data = os.path.join(bench.directory, "perf.data")
    pids = ",".join(map(str, running.pids))
    under = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(PER_SECOND), "-g", "-o", data]
    extra = ["-T", str(SECONDS)]
    load.pgbench(bench.server, running, mode, CLIENTS, extra, [*under, "-p", pids, "--"])
    counts = _counts(data, running.pids[0], isinstance(contender, Pgusher))
    moments = sum(counts.values())
    if not moments:
        raise Failed("perf saw nothing")
    shares = {group: count / moments for group, count in counts.items()}
    return Sample(measured.cpu_us, shares, moments, measured.stolen)


def _counts(data, pid, by_source):
    """Moments by group."""
    command = ["perf", "script", "-i", data, "-F", "ip,sym,dso"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"perf script: {done.stderr.strip()[-200:]}")
    binary, shift = _program(pid)
    counts, addresses = collections.Counter(), collections.Counter()
    for stack in re.split(r"\n\s*\n", done.stdout):
        frames = re.findall(r"^\s*([0-9a-f]+) (.*) \((.*?)\)$", stack, re.MULTILINE)
        if frames and frames[0][2] == binary and by_source:
            addresses[int(frames[0][0], 16) + shift] += 1
        elif frames:
            counts[groups.of_stack(frames)] += 1
    if addresses:
        by_address = groups.of_addresses(binary, addresses)
        for address, count in addresses.items():
            counts[by_address[address]] += count
    return counts


def _program(pid):
    """Its file, and what to add to a place in its code in that file to get the linker's address."""
    binary, base = os.readlink(f"/proc/{pid}/exe"), None
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        for line in file:
            if not line.rstrip().endswith(binary):
                continue
            start, rights, offset = re.match(r"(\w+)-\w+ (\S+) (\w+)", line).groups()
            base = int(start, 16) if base is None else base
            if "x" in rights:
                return binary, int(start, 16) - base - int(offset, 16)
    raise Failed(f"{binary} is not mapped")


def _markdown(bench, results):
    """A table for each mode."""
    lines = [
        "# Where the time goes", "", *bench.header(results), "",
        f"`pgbench -S`, {CLIENTS} clients. µs per transaction: the CPU time that a run without "
        f"perf has taken, divided as {PER_SECOND} samples a second of another one were. A virtual "
        "machine has no better clock for that than a timer, which waits where the kernel has "
        "interrupts off: groups of the kernel next to each other take a little from each other. "
        "Loopback delivers in the sender's time: what is TCP send includes the receiver's queue.",
        "",
    ]
    for mode in bench.args.modes:
        columns = {key[2]: samples for key, samples in results.items() if key[0] == mode}
        if columns:
            lines += _table(mode, columns)
    return "\n".join([*lines, *skipped_lines(bench.skipped)])


def _table(mode, columns):
    yield from (f"## {mode}", "")
    yield f"| | {' | '.join(columns)} |"
    yield "|---|" + "--:|" * len(columns)
    for group in groups.ORDER:
        cells = [
            statistics.median(it.shares.get(group, 0) * it.cpu_us for it in samples)
            for samples in columns.values()
        ]
        if any(cell >= 0.005 for cell in cells):
            shown = (f"{cell:.2f}" if cell >= 0.005 else "" for cell in cells)
            yield f"| {group} | {' | '.join(shown)} |"
    total = (f"{median(samples, 'cpu_us'):.1f}" for samples in columns.values())
    yield f"| **all** | {' | '.join(total)} |"
    moments = (str(sum(it.moments for it in samples)) for samples in columns.values())
    yield f"| samples | {' | '.join(moments)} |"
    yield ""
