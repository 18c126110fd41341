"""pgbench against everybody, and what idle clients cost: what runs if no flag asks for more."""

import collections

from . import bench as contest
from . import load, memory, report
from .bench import ONE, PGBOUNCER, TENANTS, TWO, rotated
from .peers import PEERS
from .processes import Failed

EVERYBODY = (
    "direct", *contest.FLOORS, PGBOUNCER, f"{PGBOUNCER}, 2 processes", ONE, TWO, *PEERS,
)
WITH_TENANTS = (
    "direct", PGBOUNCER, ONE, TWO, "direct, by hand", f"{PGBOUNCER}, by hand", ONE + TENANTS,
    TWO + TENANTS,
)
# Each process of PgBouncer holds for a client what the only one does.
POOLERS = (PGBOUNCER, ONE, TWO, *PEERS)


def run(bench):
    """All of it, or only with and without tenants."""
    names = WITH_TENANTS if bench.args.tenants else EVERYBODY
    if bench.args.quick:
        names = [name for name in names if not name.endswith("2 processes")]
    found = bench.find(names)
    running = bench.start_all(found)
    found = list(running)
    results = _rounds(bench, running)
    idle = _idle(bench, [it for it in found if not it.name.endswith("processes")])
    return _report(bench, found, results, idle)


def run_memory(bench):
    """Only the idle clients."""
    return _report(bench, [], {}, _idle(bench, bench.find(POOLERS)))


def _report(bench, found, results, idle):
    args = bench.args
    top = bench.header(results, f" of {max(args.seconds, 1)} s or more")
    names = [contender.name for contender in found]
    text = report.markdown(
        top, args.modes, args.clients, names, results, bench.skipped, idle, args.idle
    )
    return report.Report(text, results, idle)


def _rounds(bench, running):
    """All cells, round by round, contender by contender."""
    args, results, broken = bench.args, collections.defaultdict(list), set()

    def attempt(mode, contender, measure):
        if (mode, contender.name) in broken:
            return
        try:
            measure(running[contender])
        except Failed as why:
            # One that failed once is out for the mode: half its rounds would be no median, and
            # its rounds would not be those of the others.
            broken.add((mode, contender.name))
            for key in [key for key in results if key[0] == mode and key[2] == contender.name]:
                del results[key]
            bench.skip(f"{contender.name}, {mode}", why)

    for mode in args.modes:
        for contender in running:
            if why := contender.refuses(mode):
                broken.add((mode, contender.name))
                bench.skip(f"{contender.name}, {mode}", why)
            attempt(mode, contender, lambda it: load.warm_up(bench.server, it, mode))

    for turn in bench.turns():
        for mode in args.modes:
            for clients in args.clients:
                for contender in rotated(list(running), turn):

                    def measure(it):
                        sample = load.measure(
                            bench.server, it, mode, clients, args.seconds, bench.directory
                        )
                        results[mode, clients, contender.name].append(sample)

                    attempt(mode, contender, measure)
    return results


def _idle(bench, found):
    """Each pooler anew, so that what the load left behind does not count."""
    idle = {}
    for contender in found:
        if not contender.pools or not bench.args.idle:
            continue
        try:
            running = contender.start(bench.directory)
            try:
                can_prepare = not contender.refuses("prepared")
                idle[contender.name] = memory.measure(running, bench.args.idle, can_prepare)
            finally:
                running.stop()
        except (Failed, OSError) as why:
            bench.skip(f"{contender.name}, idle clients", why)
    return idle
