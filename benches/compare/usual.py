"""pgbench against everybody, and what idle clients cost: what runs if no flag asks for more."""

from . import bench as contest
from . import load, memory, report
from .bench import ONE, PGBOUNCER, TENANTS, TWO
from .contenders import BY_HAND, ENCRYPTED, HEAVY, INJECTED
from .peers import PEERS
from .processes import Failed

EVERYBODY = (
    "direct", *contest.FLOORS, PGBOUNCER, f"{PGBOUNCER}, 2 processes", ONE, TWO, *PEERS,
)
WITH_TENANTS = (
    "direct", PGBOUNCER, ONE, TWO, "direct, by hand", f"{PGBOUNCER}, by hand", ONE + TENANTS,
    TWO + TENANTS,
)
WITH_WEIGHT = (PGBOUNCER, ONE, *(name + HEAVY for name in (PGBOUNCER, ONE, TWO)))
WITH_TLS = (PGBOUNCER, ONE, TWO, *(name + ENCRYPTED for name in (PGBOUNCER, ONE, TWO)))
# Each process of PgBouncer holds for a client what the only one does.
POOLERS = (PGBOUNCER, ONE, TWO, *PEERS)


def run(bench):
    """All of it, or only with and without tenants, or TLS, or more of the machine."""
    kinds = {"tenants": WITH_TENANTS, "tls": WITH_TLS, "weight": WITH_WEIGHT}
    names = kinds.get(bench.args.kind, EVERYBODY)
    if bench.args.quick:
        names = [name for name in names if not name.endswith("2 processes")]
    running = bench.start_all(bench.find(names))
    found = list(running)

    def measure(_contender, it, mode, clients):
        return load.measure(bench.server, it, mode, clients, bench.args.seconds, bench.directory)

    cells = [(mode, clients) for mode in bench.args.modes for clients in bench.args.clients]
    results = bench.measure_together(running, cells, measure)
    idle = _idle(bench, [it for it in found if not it.name.endswith("processes")])
    return _report(bench, found, results, idle)


def run_memory(bench):
    """Only the idle clients."""
    return _report(bench, [], {}, _idle(bench, bench.find(POOLERS)))


def _report(bench, found, results, idle):
    args = bench.args
    length = f"{args.seconds} s or more" if args.seconds else "a moment"
    top = bench.header(results, f" of {length}")
    names = {contender.name: _others(contender.name, found) for contender in found}
    text = report.markdown(
        top, args.modes, args.clients, names, results, bench.skipped, idle, args.idle
    )
    return report.Report(text, results, idle)


def _others(name, found):
    """With whom one is compared, by what they are called in the table."""
    others = {}
    alike = [it.name for it in found if it.name.endswith(ENCRYPTED) == name.endswith(ENCRYPTED)]
    for called in (report.PEER, report.FLOOR):
        others[called] = next((it for it in alike if it.startswith(called)), None)
    plain = name
    for added in (INJECTED, BY_HAND, ENCRYPTED, HEAVY):
        plain = plain.removesuffix(added)
    if plain != name:
        others["itself without"] = plain
    return {called: other for called, other in others.items() if other}


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
