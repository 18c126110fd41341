#!/usr/bin/env python3
"""Counts the instructions and allocations of the core's hot paths, and holds them to budgets.

    python3 benches/counts.py             fails where a count is over its budget by more than 5 %
    python3 benches/counts.py --write     the counts are the budgets from now on

Instructions are counted by callgrind, which runs the program on a processor of its own making:
there is no noise, so that a change of 1 % is one. What they say is what the core itself costs,
without the kernel, the runtime and the caches, which `benches/compare.py` measures together.

Operations are in `benches/counts/`, budgets in `benches/budgets.toml`. A budget holds for the
compiler that it was written with: another one may do better or worse, so with another one counts
are only shown. What allocations take is left out, and how many there are is counted instead: see
`benches/counts/src/memory.rs`. What is left to chance are the seeds of hash tables, and on another
machine the C library's `memcpy`.

Needs Python 3.11, cargo and valgrind. Takes a second; where nothing is built yet, half a minute.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = HERE / "counts"
BUDGETS = HERE / "budgets.toml"
# How callgrind calls the function that encloses what is to be counted.
MEASURED = "pgusher_counts::measured"
# Instructions over a budget that are forgiven: a compiler inlines a little differently when
# code far away changes.
TOLERANCE = 0.05


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="make the counts the budgets")
    args = parser.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("valgrind is missing: apt-get install valgrind")

    counts = measure(build())
    compiler = rustc()
    budgets = read_budgets()
    report(counts, budgets.get("operations", {}))
    if args.write:
        write_budgets(compiler, counts)
        print(f"\nWritten to {BUDGETS.relative_to(HERE.parent)}.")
        return
    if budgets.get("rustc") != compiler:
        print(f"\nBudgets are for rustc {budgets.get('rustc')}, this is {compiler}: not compared.")
        return
    broken = list(violations(counts, budgets["operations"]))
    if broken:
        sys.exit("\n" + "\n".join(broken) + "\nIf this is meant to be: make counts ARGS=--write")


def build():
    """The program, as it is shipped: optimised for speed."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")) / "counts"
    command = [os.environ.get("CARGO", "cargo"), "build", "--release", "--quiet"]
    subprocess.run([*command, "--target-dir", target], cwd=PACKAGE, check=True)
    return target / "release" / "pgusher-counts"


def rustc():
    said = subprocess.run(["rustc", "--version"], cwd=PACKAGE, check=True, capture_output=True)
    return said.stdout.decode().split()[1]


def measure(program):
    """What each operation took: (instructions, allocations), by its name, in order."""
    with tempfile.TemporaryDirectory(prefix="pgusher-counts-") as folder:
        dumps = pathlib.Path(folder) / "dump"
        said = subprocess.run(
            [
                "valgrind", "--quiet", "--tool=callgrind",
                f"--toggle-collect={MEASURED}", f"--dump-after={MEASURED}",
                f"--callgrind-out-file={dumps}", program,
            ],
            check=True, capture_output=True, text=True,
        ).stdout.splitlines()
        runs = int(said[0].removeprefix("runs "))
        counts = {}
        for nth, line in enumerate(said[1:], start=1):
            allocations, name = line.split(" ", 1)
            dump = dumps.with_suffix(f".{nth}")
            if not dump.exists():
                sys.exit(f"callgrind did not find {MEASURED}")
            counts[name] = (instructions(dump.read_text()) / runs, int(allocations) / runs)
        return counts


def instructions(dump):
    return int(re.search(r"^totals: (\d+)$", dump, re.MULTILINE)[1])


def report(counts, budgets):
    titles = ("instructions", "budget", "", "allocations", "budget")
    print("{:44} {:>12} {:>8} {:>7} {:>12} {:>8}".format("per operation", *titles))
    for name, (taken, allocations) in counts.items():
        budget = budgets.get(name)
        line = f"{name:44} {taken:12.0f} "
        if budget:
            change = taken / budget["instructions"] - 1
            line += f"{budget['instructions']:8} {change:+7.1%} "
            line += f"{allocations:12.2f} {budget['allocations']:8.2f}"
        else:
            line += f"{'-':>8} {'':7} {allocations:12.2f} {'-':>8}"
        print(line)


def violations(counts, budgets):
    """What is not as the budgets say."""
    for name, (taken, allocations) in counts.items():
        if name not in budgets:
            yield f"{name}: has no budget"
            continue
        budget = budgets[name]
        if taken > budget["instructions"] * (1 + TOLERANCE):
            yield f"{name}: {taken:.0f} instructions, budget {budget['instructions']}"
        # The hundredths are tables that grow now and then.
        if allocations > budget["allocations"] + 0.1:
            yield f"{name}: {allocations:.2f} allocations, budget {budget['allocations']}"
    for name in budgets.keys() - counts.keys():
        yield f"{name}: has a budget, but is not counted"


def read_budgets():
    if not BUDGETS.exists():
        return {}
    return tomllib.loads(BUDGETS.read_text(encoding="utf-8"))


def write_budgets(compiler, counts):
    lines = [
        "# What operations of the core may take. Written by `make counts ARGS=--write`.",
        f'rustc = "{compiler}"',
        "",
        "[operations]",
    ]
    for name, (taken, allocations) in counts.items():
        values = f"instructions = {taken:.0f}, allocations = {allocations:.2f}"
        lines.append(f'"{name}" = {{ {values} }}')
    BUDGETS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
