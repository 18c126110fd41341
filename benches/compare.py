#!/usr/bin/env python3
"""Runs pgusher beside PostgreSQL, PgBouncer and a bare relay, in one go on one machine.

    python3 benches/compare.py            about twelve minutes
    python3 benches/compare.py --quick    under a minute: does it work at all?
    python3 benches/compare.py --memory   only what 5000 idle clients hold: half a minute each
    python3 benches/compare.py --tenants  what a tenant's context costs, here and by hand
    python3 benches/compare.py --statements  10,000 prepared statements over a pool of 20
    python3 benches/compare.py --noisy    what one greedy tenant does to quiet ones: ten minutes
    python3 benches/compare.py --syscalls  calls per transaction by name: three minutes
    python3 benches/compare.py --profile  where each microsecond goes: five minutes
    python3 benches/compare.py --bulk     a gigabyte out and in, slow readers: ten minutes
    python3 benches/compare.py --storm    1000 logins at once, a login for each query: four minutes
    python3 benches/compare.py --growth   clients, server connections, tenants: five minutes
    python3 benches/compare.py --tls      what TLS to clients costs: three minutes
    python3 benches/compare.py --weight   with more of the machine for the proxy: five minutes
    python3 benches/compare.py --seal     row-level security, and what a seal adds: two minutes

The unit to look at is CPU microseconds of the proxy per transaction: user and system time of all
its threads. Throughput on one machine mostly says how client, proxy and server share its
processors. Contenders take turns, round by round, so that whatever else the machine does meets
all of them; figures are medians over the rounds.

Needs Python, cargo and PostgreSQL (PG_BIN names its directory). PgBouncer is taken from PGBOUNCER,
the PATH or Debian, as one that can keep prepared statements if there is one, and Odyssey from
Debian; PGUSHER names a pgusher that is built already, ODYSSEY, PGCAT and PG_DOORMAN other poolers.
Everything it starts it ends; its files are in a temporary directory but for the results in
target/bench/.
"""

import argparse
import contextlib
import os
import resource
import shutil
import signal
import sys
import tempfile

# The sources lie in the repository: no bytecode beside them.
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from compare import bulk, contenders, growth, growth_plot, load, noisy, page, plot, profile
from compare import seal, statements, storm, syscalls, usual
from compare.bench import Bench

# What runs if its flag is given, and how it is drawn.
KINDS = {
    "compare": (usual.run, None),
    "tenants": (usual.run, None),
    "memory": (usual.run_memory, None),
    "statements": (statements.run, None),
    "noisy": (noisy.run, plot.drawing),
    "syscalls": (syscalls.run, None),
    "profile": (profile.run, None),
    "bulk": (bulk.run, None),
    "storm": (storm.run, None),
    "growth": (growth.run, growth_plot.drawing),
    "seal": (seal.run, None),
    "tls": (usual.run, None),
    "weight": (usual.run, None),
}
# What each changes in the defaults of the other flags.
DEFAULTS = {
    "memory": {"rounds": 0, "modes": [], "idle": 5000},
    "tenants": {"clients": [32], "idle": 0},
    "noisy": {"seconds": 10},
    # A count is no stopwatch.
    "syscalls": {"rounds": 1},
    "bulk": {"seconds": 4},
    "storm": {"seconds": 4},
    "seal": {"seconds": 3},
    # Idle clients with TLS are counted by a test: Python's take more memory than the poolers.
    "tls": {"clients": [32], "idle": 0},
    "weight": {"clients": [32, 200], "idle": 0},
    # Where so many points are to be seen they tell the noise.
    "growth": {"rounds": 1, "seconds": 2},
}
# No seconds: a few hundred transactions, but where nothing could be seen in that.
QUICK = {"rounds": 1, "seconds": 0, "clients": [32], "idle": 500, "mib": 64}
QUICK_SECONDS = {"noisy": 2, "bulk": 1, "storm": 1, "growth": 1}


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
    add("--quick", action="store_true", help="1 round of a moment, 32 clients, 500 idle clients")
    add("--tenants", action="store_true", help="what the context costs, with 32 clients")
    add("--memory", action="store_true", help="no load, 5000 idle clients")
    add("--statements", action="store_true", help="many prepared statements, and nothing else")
    add("--noisy", action="store_true", help="quiet tenants and a noisy one, 10 s of it in a run")
    add("--syscalls", action="store_true", help="calls per transaction by name: perf or strace")
    add("--profile", action="store_true", help="where the time goes, by groups: perf")
    add("--bulk", action="store_true", help="large results, COPY, slow readers")
    add("--mib", type=int, default=from_env("MIB", 1024), help="of one stream of --bulk [1024]")
    add("--storm", action="store_true", help="logins: 1000 at once, one for each query")
    add("--seal", action="store_true", help="policies, and sealed ones")
    add("--tls", action="store_true", help="clients with TLS and without, 32 of them")
    add("--weight", action="store_true", help="twice the share of the processors, and the usual one")
    add("--growth", action="store_true", help="with clients, server connections, tenants")
    usually = ",".join(noisy.USUAL)
    add("--contenders", type=words, default=usually,
        help=f"of --noisy: {','.join(noisy.CONTENDERS)} [{usually}]")
    drawn = ", ".join(f"--{kind}" for kind, (_, draw) in KINDS.items() if draw)
    add("--plot", metavar="FILE", help=f"of {drawn}: draws the figures into an SVG, too")
    add("--write", action="store_true", help=f"puts the tables into {page.PATH}, too")
    for kind, defaults in DEFAULTS.items():
        if f"--{kind}" in sys.argv:
            parser.set_defaults(**defaults)
    if "--quick" in sys.argv:
        parser.set_defaults(**QUICK)
        for kind, seconds in QUICK_SECONDS.items():
            if f"--{kind}" in sys.argv:
                parser.set_defaults(seconds=seconds)
    args = parser.parse_args()
    special = [kind for kind in KINDS if getattr(args, kind, False)]
    args.kind = special[0] if special else "compare"
    if args.modes == ["all"]:
        args.modes = list(load.MODES)
    if unknown := set(args.modes) - set(load.MODES):
        parser.error(f"no such mode: {', '.join(sorted(unknown))}")
    if unknown := set(args.contenders) - set(noisy.CONTENDERS):
        parser.error(f"no such contender: {', '.join(sorted(unknown))}")
    return args


def main():
    """Sets up, measures, reports; the context manager tears down whatever happens."""
    args = arguments()
    # Ended from outside it still ends its children.
    for kind in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, lambda *_: sys.exit(1))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    run, draw = KINDS[args.kind]
    with contextlib.ExitStack() as cleanup:
        directory = tempfile.mkdtemp(prefix="pgusher-bench-")
        cleanup.callback(shutil.rmtree, directory, ignore_errors=True)
        # PostgreSQL and PgBouncer run as somebody else when this runs as root.
        os.chmod(directory, 0o755)
        bench = Bench(args, directory, cleanup)
        report = run(bench)
    save(args.kind, report.text, report.as_json(bench.line))
    if args.write:
        page.write(args.kind, report.text)
    if args.plot and draw and report.results:
        with open(args.plot, "w", encoding="utf-8") as file:
            file.write(draw(f"{bench.line}, {args.rounds} round(s)", report.results) + "\n")
    print(report.text)


def save(name, text, samples):
    """Results outlive the temporary directory in `target/bench/`."""
    directory = contenders.bench_directory()
    os.makedirs(directory, exist_ok=True)
    for ending, content in (("md", text), ("json", samples)):
        with open(os.path.join(directory, f"{name}.{ending}"), "w", encoding="utf-8") as file:
            file.write(content + "\n")
    print(f"written to {directory}/{name}.md and {name}.json", file=sys.stderr)


if __name__ == "__main__":
    main()
