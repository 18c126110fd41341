"""A noisy neighbour: how ten quiet tenants fare while another one wants all there is.

Each run goes through all of it, so that everybody is measured against itself: the quiet tenants
alone, then with the noisy one, then alone again.
"""

import dataclasses
import functools
import os
import statistics
import time

from . import contenders, machine
from .crowd import Crowd, percentile
from .postgres import DATABASE, PASSWORD, USER
from .processes import Failed
from .report import Report, median, skipped_lines
from .scram import Client

QUIET_TENANTS = 10
NOISY_CLIENTS = 200
# Of the noisy tenant in `bound`: as many as pgusher's defaults leave it server connections, where
# nobody waits for any. What is slow then is the machine, and no pool can be faster beside as many.
FEW_CLIENTS = contenders.POOL_SIZE - contenders.POOL_SIZE // 5
# Of a quiet client between two queries, on average.
THINK_SECONDS = 0.02
# Of one heavy query: the machine's processors are not needed for it, or one of them is.
SLEEP_SECONDS, COMPUTE_SECONDS = 0.05, 0.03
# Not counted at the start.
WARM_SECONDS = 1.0
# Share of the processors that the quiet tenants alone can make busy. More is somebody else, and
# makes the p99 that all is compared with some times as long.
BUSY_AT_MOST = 0.25
# Of the curves over time.
SLICE_SECONDS = 0.5

POINT_READ = "SELECT abalance FROM pgbench_accounts WHERE aid = {aid}"
# Keeps all of a pool's connections in use for a moment, so that each is open and has run the point
# read before anything is counted: the first one is slow in every server process.
WARM_UP = f"SELECT pg_sleep(0.01); {POINT_READ.format(aid=1)}"

# What is scarce for the heavy queries.
KINDS = {
    "waiting": "Heavy queries that wait: server connections are scarce",
    "computing": "Heavy queries that compute: processors are scarce too",
}

# What the noisy tenant's neighbours may go through, by the name that `--contenders` takes.
CONTENDERS = {
    "pgusher": "pgusher, defaults",
    "fifo": "pgusher, fairness = false",
    "adaptive": "pgusher, adaptive = true",
    "pgbouncer": "PgBouncer",
    "direct": "no pool",
    "bound": f"no pool, {FEW_CLIENTS} noisy clients",
}
USUAL = ("pgusher", "fifo", "adaptive", "pgbouncer")
LIMITS = {"fifo": ["fairness = false"], "adaptive": ["adaptive = true"]}


@dataclasses.dataclass
class Sample:
    """The figures of one run; those of the quiet tenants unless they say otherwise."""

    alone_p50_ms: float
    alone_p99_ms: float
    alone_max_ms: float
    alone_tps: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    tps: float
    noisy_tps: float
    # Pairs of seconds since the noisy tenant has come and the 99th percentile of that moment.
    curve: list[tuple[float, float]]
    # How long the noisy tenant was there.
    seconds: float
    # Share of all processors that anybody used while the quiet tenants were alone.
    alone_busy: float
    # Of one processor.
    quiet_load: float
    noisy_load: float
    # µs per query that the quiet clients' process wanted to run and could not.
    queued_us: float
    realtime: bool
    # Share of the machine's CPU time that the hypervisor gave to others.
    stolen: float

    @property
    def times(self):
        """How much worse they fare for the noisy one, against themselves a moment before."""
        return self.p99_ms / self.alone_p99_ms


def run(bench):
    """All of them, with each kind of noisy tenant."""
    found, heavy = _find(bench), _heavy_queries(bench.server)
    kinds = {kind: f"{kind} neighbour" for kind in KINDS}
    seconds = bench.args.seconds

    def measure_one(running, kind, contender):
        return measure(heavy[kind], running, noisy_clients(contender), seconds)

    results = bench.measure_anew(found, kinds, measure_one)
    how = f" with {seconds} s of noise, half of that before and after"
    top = bench.header(results, how, _doubts(results), cpu=False)
    return Report(_markdown(top, heavy, results, bench.skipped), results)


def _find(bench):
    """Those that can take part, in the order of `--contenders`."""
    found = []
    for key in bench.args.contenders:
        try:
            if key == "pgbouncer":
                contender = bench.make("PgBouncer")
            elif key in ("direct", "bound"):
                contender = bench.make("direct")
            else:
                binary, workers = contenders.find_pgusher(), os.cpu_count() or 1
                limits = LIMITS.get(key, ())
                contender = contenders.Pgusher(bench.server, binary, workers, True, limits)
        except Failed as why:
            bench.skip(CONTENDERS[key], why)
            continue
        if key != "pgbouncer":
            contender.name = CONTENDERS[key]
        found.append(contender)
    return found


def noisy_clients(contender):
    """How many of them there are."""
    return FEW_CLIENTS if contender.name == CONTENDERS["bound"] else NOISY_CLIENTS


def _heavy_queries(server):
    """The text of each kind; how long one takes that computes is tried here."""
    rows = "SELECT count(*) FROM (SELECT generate_series(1, {}) AS i) AS r WHERE i % 7 = 3"
    client = Client(server.port, USER, PASSWORD, DATABASE)
    tried = 100_000

    def seconds():
        began = time.monotonic()
        client.query(rows.format(tried))
        return time.monotonic() - began

    fastest = min(seconds() for _ in range(10))
    client.close()
    return {
        "waiting": f"SELECT pg_sleep({SLEEP_SECONDS})",
        "computing": rows.format(round(tried * COMPUTE_SECONDS / fastest / 1000) * 1000),
    }


def measure(heavy, running, clients, seconds):
    """One run: `seconds` with the noisy tenant, half of that before and after."""
    began, stolen = time.monotonic(), machine.stolen_seconds()
    quiet_logins = [_login(running, f"quiet-{nth}") for nth in range(QUIET_TENANTS)]
    noisy_logins = [_login(running, "noisy")] * clients
    with (
        Crowd(running.port, noisy_logins, heavy, WARM_UP) as noisy,
        Crowd(running.port, quiet_logins, POINT_READ, WARM_UP, THINK_SECONDS, True) as quiet,
    ):
        noisy.ready()
        realtime = quiet.ready()
        start = time.monotonic() + 0.1
        counted = start + WARM_SECONDS
        come = counted + seconds / 2
        gone = come + seconds
        quiet.go(start, gone + seconds / 2)
        noisy.go(come, gone)
        busy = _busy(counted, come)
        of_noisy, of_quiet = noisy.answers(), quiet.answers()
    running.check()
    stolen = machine.stolen_seconds() - stolen

    asked = [(sent, took) for sent, took in of_quiet["asked"] if sent >= counted]
    alone, beside = _between(asked, counted, come), _between(asked, come, gone)
    return Sample(
        *(percentile(alone, share) for share in (0.5, 0.99, 1)),
        _per_second(asked, counted, come),
        *(percentile(beside, share) for share in (0.5, 0.99, 1)),
        _per_second(asked, come, gone),
        _per_second(of_noisy["asked"], come, gone),
        curve=_curve(asked, come),
        seconds=seconds,
        alone_busy=busy,
        quiet_load=of_quiet["cpu"] / (gone + seconds / 2 - start),
        noisy_load=of_noisy["cpu"] / seconds,
        queued_us=of_quiet["queued"] / len(of_quiet["asked"]) * 1e6,
        realtime=realtime,
        stolen=stolen / ((time.monotonic() - began) * (os.cpu_count() or 1)),
    )


def _login(running, tenant):
    return {running.tenant_setting: tenant} if running.tenant_setting else {}


def _busy(start, end):
    """Waits until then. How busy the machine was: with so little to do, only with other things."""
    time.sleep(max(start - time.monotonic(), 0))
    before = machine.busy_seconds()
    time.sleep(max(end - time.monotonic(), 0))
    return (machine.busy_seconds() - before) / ((end - start) * (os.cpu_count() or 1))


def _between(asked, start, end):
    """Milliseconds of what was asked then, in order."""
    found = sorted(took * 1000 for sent, took in asked if start <= sent < end)
    if not found:
        raise Failed("the quiet tenants got no query through")
    return found


def _per_second(asked, start, end):
    """What was answered then."""
    return sum(start <= sent + took < end for sent, took in asked) / (end - start)


def _curve(asked, come):
    slices = {}
    for sent, took in asked:
        slices.setdefault((sent - come) // SLICE_SECONDS, []).append(took * 1000)
    return [
        ((nth + 0.5) * SLICE_SECONDS, percentile(sorted(slices[nth]), 0.99))
        for nth in sorted(slices)
    ]


def median_curve(samples):
    """Of those rounds in which somebody asked at a moment."""
    by_moment = {}
    for sample in samples:
        for moment, took in sample.curve:
            by_moment.setdefault(moment, []).append(took)
    return [(moment, statistics.median(every)) for moment, every in sorted(by_moment.items())]


def _markdown(header, heavy, results, skipped):
    """The tables. `results` maps (kind, name) to the samples of its rounds."""
    lines = [
        "# A noisy neighbour", "", *header, "",
        f"{QUIET_TENANTS} quiet tenants with one client each, which reads one row and then thinks "
        f"for {THINK_SECONDS * 1000:.0f} ms on average; beside them one tenant with "
        f"{NOISY_CLIENTS} clients that never pause. Latencies are the quiet tenants', in ms. "
        "“Times” is the p99 beside the noisy tenant over the p99 alone in the same run (least–most "
        "of the rounds). Where there is no pgusher there are no tenants, only clients.",
        "",
    ]
    for kind, title in KINDS.items():
        rows = {name: samples for (of, name), samples in results.items() if of == kind}
        if not rows:
            continue
        lines += [
            f"## {title}", "", f"`{heavy[kind]}`", "",
            "| | alone p50 | p99 | max | with the noisy one p50 | p99 | max | times "
            "| quiet queries / s alone | with the noisy one | noisy queries / s |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
            *(f"| {name} | {_figures(samples)} |" for name, samples in rows.items()),
            "",
        ]
    return "\n".join([*lines, *_generator_lines(results), *skipped_lines(skipped)])


def _figures(samples):
    figure = functools.partial(median, samples)
    latencies = ("alone_p50_ms", "alone_p99_ms", "alone_max_ms", "p50_ms", "p99_ms", "max_ms")
    cells = [f"{figure(field):.2f}" for field in latencies]
    every = [sample.times for sample in samples]
    cells.append(f"{figure('times'):.1f} ({min(every):.1f}–{max(every):.1f})")
    cells += [f"{figure(field):.0f}" for field in ("alone_tps", "tps", "noisy_tps")]
    return " | ".join(cells)


def _doubts(results):
    """What speaks against figures of these samples."""
    busy = max((it.alone_busy for samples in results.values() for it in samples), default=0)
    if busy > BUSY_AT_MOST:
        return [f"something else was at work while the quiet tenants were alone ({busy:.0%} busy)"]
    return []


def _generator_lines(results):
    """Whether the load generator itself could be what was measured."""
    every = [sample for samples in results.values() for sample in samples]
    if not every:
        return []
    most = {
        field: max(getattr(sample, field) for sample in every)
        for field in ("quiet_load", "noisy_load", "queued_us")
    }
    busy = [sample.alone_busy for sample in every]
    priority = "at real-time priority" if all(it.realtime for it in every) else "at usual priority"
    return [
        "## The load generator", "",
        f"At most in any run: the quiet clients' process, {priority}, used "
        f"{most['quiet_load']:.0%} of a processor and waited {most['queued_us']:.0f} µs for one "
        f"per query; that of the noisy ones used {most['noisy_load']:.0%}.",
        "",
        "While the quiet tenants were alone, the processors were busy for "
        f"{min(busy):.0%} to {max(busy):.0%} of the time, with everything that ran.",
        "",
    ]
