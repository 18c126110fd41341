#!/usr/bin/env python3
"""Runs the test suites of drivers through pgusher and compares with PostgreSQL alone.

    python3 scripts/suites.py                     all suites, PostgreSQL 18: long
    python3 scripts/suites.py psycopg3 asyncpg    some of them
    python3 scripts/suites.py --list              which there are
    python3 scripts/suites.py psycopg3 --select=-k --select=pipeline
    python3 scripts/suites.py --write             and bring docs/compatibility.md up to date

Each suite runs once directly and once through pgusher in transaction mode, each time on a fresh
server. A test that passes directly must pass through pgusher, unless scripts/suites/expected.toml
says why it cannot; the exit code is 1 otherwise. Logs and results are in .cache/suites/results.

Needs Python 3.11 or later, psql, and what a suite is written in. What the suites are made of is
fetched from package registries; PGUSHER_SUITE_<NAME>=/directory names a copy instead. PGUSHER names
a program to test; otherwise cargo builds one.
"""

import argparse
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

# The sources lie in the repository: no bytecode beside them.
sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(1, os.path.join(ROOT, "benches"))

# pylint: disable=wrong-import-position
from suites import expected, report, results, servers, sources

SUITES = ["psycopg3", "asyncpg", "tokio_postgres", "libpq", "psycopg2", "node_postgres",
          "sqlalchemy"]


def arguments():
    """What is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("suites", nargs="*", metavar="SUITE", help="which [all]")
    add("--postgres", default="18", choices=["15", "18"], help="major version [18]")
    add("--select", action="append", default=[], metavar="ARG", help="to the suite's test runner")
    add("--only", choices=["direct", "pgusher", "none"],
        help="run only that way; what is not run is taken from last time")
    add("--write", action="store_true",
        help="write docs/compatibility.md from the last runs of all suites")
    add("--list", action="store_true", help="the names of the suites")
    args = parser.parse_args()
    if unknown := set(args.suites) - set(SUITES):
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    args.suites = args.suites or SUITES
    return args


def build():
    """The program to test."""
    if given := os.environ.get("PGUSHER"):
        return given
    subprocess.run(["cargo", "build", "--locked", "--release"], cwd=ROOT, check=True)
    return os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")),
                        "release", "pgusher")


def run_once(suite, prepared, args, way, binary, directory):
    """One suite, one way, on a fresh server. Its results."""
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    server = servers.Postgres(args.postgres, suite, os.path.join(directory, "server.log"))
    started, pgusher = time.monotonic(), None
    try:
        if way == "pgusher":
            log = os.path.join(directory, "pgusher.log")
            pgusher = servers.Pgusher(binary, server, suite.USERS, log)
        found = suite.run(prepared, pgusher or server, directory, args.select)
        if pgusher:
            pgusher.check()
    finally:
        if pgusher:
            pgusher.stop()
        server.stop()
    ran, failed = results.count(found)
    seconds = time.monotonic() - started
    print(f"   {way}: {failed} of {ran} tests fail, {seconds:.0f} s", flush=True)
    return {"ran": ran, "failed": failed, "seconds": round(seconds), "tests": found}


def run_suite(name, args, binary):
    """Both ways. Names of the tests that should not differ and do."""
    suite = importlib.import_module(f"suites.{name}")
    print(f"== {suite.TITLE} {suite.VERSION}, PostgreSQL {args.postgres}", flush=True)
    prepared = suite.prepare() if args.only != "none" else None
    ways = {}
    for way in ("direct", "pgusher"):
        directory = os.path.join(sources.CACHE, "results", args.postgres, name, way)
        path = os.path.join(directory, "results.json")
        if args.only in (None, way):
            ways[way] = run_once(suite, prepared, args, way, binary, directory)
            with open(path, "w", encoding="utf-8") as file:
                json.dump(ways[way], file, indent=1)
        else:
            with open(path, encoding="utf-8") as file:
                ways[way] = json.load(file)
    direct, pgusher = (ways[way]["tests"] for way in ("direct", "pgusher"))
    different = results.compare(direct, pgusher)
    known, unknown, idle = expected.split(name, different)
    for test in unknown:
        print(f"   FAILS {test}\n         {' '.join(results.message(pgusher, test).split())[:120]}")
    for pattern in [] if args.select else idle:
        print(f"   nothing differs any more: {pattern}")
    print(f"   {len(different)} differ, {len(known)} of them as expected", flush=True)
    return unknown


def main():
    """Runs what is asked for; 1 if anything differs that should not."""
    args = arguments()
    if args.list:
        print("\n".join(SUITES))
        return 0
    os.makedirs(sources.CACHE, exist_ok=True)
    # So that what was started is ended then too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    binary, unknown, missing = build() if args.only in (None, "pgusher") else None, 0, []
    for name in args.suites:
        try:
            unknown += len(run_suite(name, args, binary))
        except sources.Missing as why:
            print(f"   not run: {why}", flush=True)
            missing.append(name)
    if args.write:
        report.write(SUITES, args.postgres)
    return 1 if unknown or missing else 0


if __name__ == "__main__":
    sys.exit(main())
