"""One run of the benchmark: who takes part, in which order, and what could not be had."""

import collections
import functools
import statistics
import sys

from . import contenders, load, machine, peers, postgres
from .processes import Failed

# What each is called on the command line, by how it is made.
PGBOUNCER = "PgBouncer"
ONE, TWO = "pgusher, 1 worker", "pgusher, 2 workers"
TENANTS = ", tenants"
FLOORS = {f"floor, {kind}": kind for kind in contenders.Floor.KINDS}


class Bench:
    """What every kind of measurement needs."""

    def __init__(self, args, directory, cleanup):
        self.args, self.directory, self.cleanup = args, directory, cleanup
        self.load_before = machine.load()
        # Names of what could not take part, and why.
        self.skipped = {}
        self.server = postgres.Postgres(postgres.find_binaries(), directory)
        cleanup.callback(self.server.stop)
        self.server.start()
        self.line = machine.description([f"PostgreSQL {self.server.version}"])
        # Looked for, and built, by the first that needs them.
        self._pgbouncer = functools.cache(lambda: contenders.find_pgbouncer(directory))

    def skip(self, what, why):
        """Says so at once and again in the report."""
        if what not in self.skipped:
            print(f"skipped: {what}: {why}", file=sys.stderr, flush=True)
            self.skipped[what] = str(why)

    def find(self, names):
        """Those of that name that can take part and that `--only` does not leave out."""
        found = []
        for name in names:
            if self.args.only and not name.startswith(tuple(self.args.only.split(","))):
                continue
            try:
                found.append(self.make(name))
            except Failed as why:
                self.skip(name, why)
        return found

    def make(self, name, **options):
        """One contender; `options` are those of its class."""
        if name == "direct":
            return contenders.Direct(self.server)
        if name.endswith(contenders.ENCRYPTED):
            plain = self.make(name.removesuffix(contenders.ENCRYPTED), **options)
            return contenders.encrypted(plain, self.directory)
        if name.endswith(contenders.HEAVY):
            return contenders.Heavy(self.make(name.removesuffix(contenders.HEAVY), **options))
        if name in FLOORS:
            return contenders.Floor(self.server, FLOORS[name])
        if name in peers.PEERS:
            return peers.find(name, self.server, self.directory)
        if name.startswith("pgusher"):
            workers = 2 if name.startswith(TWO) else 1
            binary, tenants = contenders.find_pgusher(), name.endswith(TENANTS)
            return contenders.Pgusher(self.server, binary, workers, tenants, **options)
        if name.endswith(", by hand"):
            return contenders.ByHand(self.make(name.removesuffix(", by hand")))
        count = 2 if name.endswith("2 processes") else 1
        return contenders.PgBouncer(self.server, self._pgbouncer(), count, **options)

    def start_all(self, found):
        """Those that run, each with its process, to the end of the benchmark."""
        running = {}
        for contender in found:
            try:
                running[contender] = contender.start(self.directory)
                self.cleanup.callback(running[contender].stop)
            except Failed as why:
                self.skip(contender.name, why)
        if not running:
            sys.exit("nobody can take part")
        return running

    def turns(self):
        """Counts the rounds, aloud."""
        for turn in range(self.args.rounds):
            print(f"round {turn + 1} of {self.args.rounds} …", file=sys.stderr, flush=True)
            yield turn

    def measure_together(self, running, cells, measure):
        """Round by round, with all of them there; `cells` are pairs of a mode and of clients.

        `measure(contender, running, mode, clients)` gives a sample.
        """
        results, broken = collections.defaultdict(list), set()

        def attempt(mode, contender, work):
            if (mode, contender) in broken:
                return
            try:
                if why := contender.refuses(mode):
                    raise Failed(why)
                work()
            except Failed as why:
                # One that failed once is out for the mode: half its rounds would be no median,
                # and its rounds would not be those of the others.
                broken.add((mode, contender))
                for key in [it for it in results if (it[0], it[2]) == (mode, contender.name)]:
                    del results[key]
                self.skip(f"{contender.name}, {mode}", why)

        def warm_up(mode, contender):
            load.warm_up(self.server, running[contender], mode)

        def add(mode, clients, contender):
            sample = measure(contender, running[contender], mode, clients)
            results[mode, clients, contender.name].append(sample)

        if self.args.rounds:
            for mode in dict.fromkeys(mode for mode, _ in cells):
                for contender in running:
                    attempt(mode, contender, functools.partial(warm_up, mode, contender))
        for turn in self.turns():
            for mode, clients in cells:
                for contender in rotated(list(running), turn):
                    attempt(mode, contender, functools.partial(add, mode, clients, contender))
        return in_order(list(running), results)

    def measure_anew(self, found, kinds, measure):
        """Round by round; each anew, so that it has no statements and no memory of others.

        `kinds` and what each is called; `measure(running, kind, contender)` gives a sample, or
        nothing if there is nothing to measure.
        """
        results = collections.defaultdict(list)

        def add(kind, contender):
            running = contender.start(self.directory)
            try:
                sample = measure(running, kind, contender)
            finally:
                running.stop()
            if sample:
                results[kind, contender.name].append(sample)

        for turn in self.turns():
            for kind, called in kinds.items():
                for contender in rotated(found, turn):
                    try:
                        add(kind, contender)
                    except (Failed, OSError) as why:
                        self.skip(f"{contender.name}, {called}", why)
        return in_order(found, results)

    def header(self, results, how="", doubts=(), cpu=True):
        """What the figures belong to, and whether to trust them. `cpu`: that is among them."""
        lines = [self.line, ""]
        if self.args.rounds:
            lines += [
                f"{self.args.rounds} interleaved round(s){how}, medians; scale {postgres.SCALE}; "
                f"pools of {contenders.POOL_SIZE}, transaction mode."
            ]
            if cpu:
                lines[-1] += " CPU is the proxy's own, user and system time of all its threads."
        stolen = [sample.stolen for samples in results.values() for sample in samples]
        doubts = list(doubts)
        if self.load_before > 0.5:
            doubts.append(f"the machine was already busy (load average {self.load_before:.1f})")
        if stolen and statistics.mean(stolen) > 0.02:
            taken = statistics.mean(stolen)
            doubts.append(f"the hypervisor took {taken:.0%} of the processor time")
        if doubts:
            lines += ["", f"**Take with care:** {' and '.join(doubts)}."]
        return lines


def rotated(contenders_in_order, turn):
    """Another one goes first each time: nobody always runs after the same neighbour."""
    first = turn % len(contenders_in_order)
    return contenders_in_order[first:] + contenders_in_order[:first]


def in_order(found, results):
    """Sorted by contender, whoever went first; the other half of a key keeps its order."""
    names = [contender.name for contender in found]
    return dict(sorted(results.items(), key=lambda cell: names.index(cell[0][-1])))
