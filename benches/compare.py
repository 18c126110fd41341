#!/usr/bin/env python3
"""Runs pgusher beside PostgreSQL, PgBouncer and a bare relay, in one go on one machine.

    python3 benches/compare.py            about eight minutes
    python3 benches/compare.py --quick    under a minute: does it work at all?
    python3 benches/compare.py --memory   only what 5000 idle clients hold: half a minute each
    python3 benches/compare.py --tenants  what a tenant's context costs, here and by hand
    python3 benches/compare.py --statements  10,000 prepared statements over a pool of 20
    python3 benches/compare.py --noisy    what one greedy tenant does to quiet ones: ten minutes

The unit to look at is CPU microseconds of the proxy per transaction: user and system time of all
its threads. Throughput on one machine mostly says how client, proxy and server share its
processors. Contenders take turns, round by round, so that whatever else the machine does meets
all of them; figures are medians over the rounds.

Needs Python, cargo and PostgreSQL (PG_BIN names its directory). PgBouncer is taken from PGBOUNCER,
the PATH or Debian, as one that can keep prepared statements if there is one. Everything it starts it ends; its files are in a temporary directory but for
the results in target/bench/.
"""

import argparse
import collections
import contextlib
import functools
import os
import resource
import shutil
import signal
import statistics
import sys
import tempfile

# The sources lie in the repository: no bytecode beside them.
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from compare import contenders, load, machine, memory, noisy, plot, postgres, report, statements
from compare.processes import Failed


def arguments():
    """Flags; each default may be set in the environment."""

    def from_env(name, default):
        return os.environ.get(f"BENCH_{name}", default)

    def words(text):
        return text.split(",")

    def numbers(text):
        return [int(part) for part in words(text)]

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rounds", type=int, default=from_env("ROUNDS", 3), help="turns of everybody [3]")
    add("--seconds", type=int, default=from_env("SECONDS", 1), help="least length of one run [1]")
    add("--clients", type=numbers, default=from_env("CLIENTS", "1,32,200"), help="[1,32,200]")
    add("--modes", type=words, default=from_env("MODES", "all"),
        help="of simple,extended,prepared [all]")
    add("--only", default=from_env("ONLY", ""), help="contenders whose name starts with one of a,b")
    add("--idle", type=int, default=from_env("IDLE", 2000), help="idle clients, 0 = none [2000]")
    add("--quick", action="store_true", help="1 round of 1 s, 32 clients, 500 idle clients")
    add("--tenants", action="store_true", help="what the context costs, with 32 clients")
    add("--memory", action="store_true", help="no load, 5000 idle clients")
    add("--statements", action="store_true", help="many prepared statements, and nothing else")
    add("--noisy", action="store_true", help="quiet tenants and a noisy one, 10 s of it in a run")
    usual = ",".join(noisy.USUAL)
    add("--contenders", type=words, default=usual,
        help=f"of --noisy: {','.join(noisy.CONTENDERS)} [{usual}]")
    add("--plot", metavar="FILE", help="of --noisy: draws the figures into an SVG, too")
    if "--memory" in sys.argv:
        parser.set_defaults(rounds=0, modes=[], idle=5000)
    if "--tenants" in sys.argv:
        parser.set_defaults(clients=[32], idle=0)
    if "--quick" in sys.argv:
        parser.set_defaults(rounds=1, seconds=1, clients=[32], idle=500)
    if "--noisy" in sys.argv:
        parser.set_defaults(seconds=2 if "--quick" in sys.argv else 10)
    args = parser.parse_args()
    kinds = ("memory", "tenants", "statements", "noisy")
    special = [kind for kind in kinds if getattr(args, kind)]
    args.kind = special[0] if special else "compare"
    if args.modes == ["all"]:
        args.modes = list(load.MODES)
    if unknown := set(args.modes) - set(load.MODES):
        parser.error(f"no such mode: {', '.join(sorted(unknown))}")
    if unknown := set(args.contenders) - set(noisy.CONTENDERS):
        parser.error(f"no such contender: {', '.join(sorted(unknown))}")
    return args


def find_contenders(server, wanted, skipped, tenants, directory):
    """Those that can take part; why the others cannot goes to `skipped`."""

    @functools.cache
    def pgbouncer():
        return contenders.PgBouncer(server, contenders.find_pgbouncer(directory))

    def pgusher(workers, tenants=False):
        return contenders.Pgusher(server, contenders.find_pgusher(), workers, tenants)

    def floor():
        binary = os.path.join(contenders.build("--example", "floor"), "examples", "floor")
        return contenders.Floor(server, binary)

    makers = {
        "direct": lambda: contenders.Direct(server),
        "floor": floor,
        "PgBouncer": pgbouncer,
        "pgusher, 1 worker": lambda: pgusher(1),
        "pgusher, 2 workers": lambda: pgusher(2),
    }
    if tenants:
        del makers["floor"]
        by_hand = contenders.ByHand
        makers["direct, by hand"] = lambda: by_hand(contenders.Direct(server))
        makers["PgBouncer, by hand"] = lambda: by_hand(pgbouncer())
        makers["pgusher, 1 worker, tenants"] = lambda: pgusher(1, True)
        makers["pgusher, 2 workers, tenants"] = lambda: pgusher(2, True)
    found = []
    for name, make in makers.items():
        if wanted and not any(name.startswith(start) for start in wanted.split(",")):
            continue
        try:
            found.append(make())
        except Failed as why:
            skip(skipped, name, why)
    return found


def skip(skipped, what, why):
    """Says so at once and again in the report."""
    if what not in skipped:
        print(f"skipped: {what}: {why}", file=sys.stderr, flush=True)
        skipped[what] = str(why)


def run_rounds(args, server, running, skipped, directory):
    """All cells, round by round, contender by contender."""
    results = collections.defaultdict(list)
    broken = set()

    def attempt(mode, contender, measure):
        if (mode, contender.name) in broken:
            return
        try:
            measure(running[contender])
        except Failed as why:
            # One that failed once is out for the mode: half its rounds would be no median.
            broken.add((mode, contender.name))
            for key in [key for key in results if key[0] == mode and key[2] == contender.name]:
                del results[key]
            skip(skipped, f"{contender.name}, {mode}", why)

    for mode in args.modes:
        for contender in running:
            if why := contender.refuses(mode):
                broken.add((mode, contender.name))
                skip(skipped, f"{contender.name}, {mode}", why)
            attempt(mode, contender, lambda it: load.warm_up(server, it, mode))

    for turn in range(args.rounds):
        print(f"round {turn + 1} of {args.rounds} …", file=sys.stderr, flush=True)
        for mode in args.modes:
            for clients in args.clients:
                for contender in rotated(list(running), turn):

                    def measure(it):
                        sample = load.measure(server, it, mode, clients, args.seconds, directory)
                        results[mode, clients, contender.name].append(sample)

                    attempt(mode, contender, measure)
    return results


def rotated(contenders_in_order, turn):
    """Another one goes first each time: nobody always runs after the same neighbour."""
    first = turn % len(contenders_in_order)
    return contenders_in_order[first:] + contenders_in_order[:first]


def measure_idle(args, found, skipped, directory):
    """Each pooler anew, so that what the load left behind does not count."""
    idle = {}
    for contender in found:
        if not contender.pools or not args.idle:
            continue
        try:
            running = contender.start(directory)
            try:
                can_prepare = not contender.refuses("prepared")
                idle[contender.name] = memory.measure(running, args.idle, can_prepare)
            finally:
                running.stop()
        except (Failed, OSError) as why:
            skip(skipped, f"{contender.name}, idle clients", why)
    return idle


def start_all(found, skipped, directory, cleanup):
    """Those that run, each with its process."""
    running = {}
    for contender in found:
        try:
            running[contender] = contender.start(directory)
            cleanup.callback(running[contender].stop)
        except Failed as why:
            skip(skipped, contender.name, why)
    if not running:
        sys.exit("nobody can take part")
    return running


def measure_anew(args, found, kinds, measure, skipped, directory):
    """Round by round; each pooler anew, so that it has no statements and no memory of others.

    `kinds` and what each is called; `measure(running, kind, contender)` gives a sample.
    """
    results = collections.defaultdict(list)
    for turn in range(args.rounds):
        print(f"round {turn + 1} of {args.rounds} …", file=sys.stderr, flush=True)
        for kind, called in kinds.items():
            for contender in rotated(found, turn):
                try:
                    running = contender.start(directory)
                    try:
                        sample = measure(running, kind, contender)
                        results[kind, contender.name].append(sample)
                    finally:
                        running.stop()
                except (Failed, OSError) as why:
                    skip(skipped, f"{contender.name}, {called}", why)
    return results


def measure_statements(args, found, server, skipped, directory):
    """Those who can prepare, with many statements."""
    server.count_parses()
    poolers = [contender for contender in found if not contender.refuses("prepared")]
    kinds = {kind: f"{kind} statements" for kind in statements.KINDS}

    def measure(running, kind, _contender):
        return statements.measure(server, running, kind)

    return measure_anew(args, poolers, kinds, measure, skipped, directory)


def measure_noisy(args, found, heavy, skipped, directory):
    """All of them, with each kind of noisy tenant."""
    kinds = {kind: f"{kind} neighbour" for kind in noisy.KINDS}

    def measure(running, kind, contender):
        clients = noisy.noisy_clients(contender)
        return noisy.measure(heavy[kind], running, clients, args.seconds)

    results = measure_anew(args, found, kinds, measure, skipped, directory)
    # In the order of the contenders, whoever went first.
    names = [contender.name for contender in found]
    return dict(sorted(results.items(), key=lambda cell: names.index(cell[0][1])))


def header(args, machine_line, load_before, results, doubts=()):
    """What the figures belong to, and whether to trust them."""
    lines = [machine_line, ""]
    if args.rounds:
        length = "" if args.statements else f" of {args.seconds} s or more"
        if args.noisy:
            length = f" with {args.seconds} s of noise, half of that before and after"
        lines += [
            f"{args.rounds} interleaved round(s){length}, medians; scale "
            f"{postgres.SCALE}; pools of {contenders.POOL_SIZE}, transaction mode."
        ]
        if not args.noisy:
            lines[-1] += " CPU is the proxy's own, user and system time of all its threads."
    stolen = [sample.stolen for samples in results.values() for sample in samples]
    doubts = list(doubts)
    if load_before > 0.5:
        doubts.append(f"the machine was already busy (load average {load_before:.1f})")
    if stolen and statistics.mean(stolen) > 0.02:
        doubts.append(f"the hypervisor took {statistics.mean(stolen):.0%} of the processor time")
    if doubts:
        lines += ["", f"**Take with care:** {' and '.join(doubts)}."]
    return lines


def main():
    """Sets up, measures, reports; the context manager tears down whatever happens."""
    args = arguments()
    # Ended from outside it still ends its children.
    for kind in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, lambda *_: sys.exit(1))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    load_before, skipped = machine.load(), {}
    with contextlib.ExitStack() as cleanup:
        directory = tempfile.mkdtemp(prefix="pgusher-bench-")
        cleanup.callback(shutil.rmtree, directory, ignore_errors=True)
        # PostgreSQL and PgBouncer run as somebody else when this runs as root.
        os.chmod(directory, 0o755)
        server = postgres.Postgres(postgres.find_binaries(), directory)
        cleanup.callback(server.stop)
        server.start()

        if args.noisy:
            excuse = functools.partial(skip, skipped)
            found = noisy.find(server, args.contenders, excuse, directory)
        else:
            found = find_contenders(server, args.only, skipped, args.tenants, directory)
        # Alone, nobody needs to run who does not pool.
        if args.memory or args.statements:
            found = [contender for contender in found if contender.pools]
        line = machine.description([f"PostgreSQL {server.version}"])
        idle = {}
        if args.statements:
            results = measure_statements(args, found, server, skipped, directory)
            top = header(args, line, load_before, results)
            text = statements.markdown(top, results, skipped)
        elif args.noisy:
            heavy = noisy.heavy_queries(server)
            results = measure_noisy(args, found, heavy, skipped, directory)
            top = header(args, line, load_before, results, noisy.doubts(results))
            text = noisy.markdown(top, heavy, results, skipped)
            if args.plot and results:
                sizes = f"pools of {contenders.POOL_SIZE}, {args.rounds} round(s)"
                plot.write(args.plot, f"{line}, {sizes}", results)
        else:
            running = start_all(found, skipped, directory, cleanup)
            names = [contender.name for contender in running]
            results = run_rounds(args, server, running, skipped, directory)
            idle = measure_idle(args, list(running), skipped, directory)
            top = header(args, line, load_before, results)
            text = report.markdown(
                top, args.modes, args.clients, names, results, skipped, idle, args.idle
            )
        save(args.kind, text, report.as_json(line, results, idle))
    print(text)


def save(name, text, samples):
    """Results outlive the temporary directory in `target/bench/`."""
    directory = os.path.join(contenders.target_directory(), "bench")
    os.makedirs(directory, exist_ok=True)
    for ending, content in (("md", text), ("json", samples)):
        with open(os.path.join(directory, f"{name}.{ending}"), "w", encoding="utf-8") as file:
            file.write(content + "\n")
    print(f"written to {directory}/{name}.md and {name}.json", file=sys.stderr)


if __name__ == "__main__":
    main()
