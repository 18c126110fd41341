"""The tables."""

import dataclasses
import json
import statistics

# What the ratios are to, by the start of their names.
PEER, FLOOR = "PgBouncer", "floor, tokio"


@dataclasses.dataclass
class Report:
    """What one kind of measurement gives."""

    text: str
    results: dict
    # KiB per idle client.
    idle: dict = dataclasses.field(default_factory=dict)

    def as_json(self, machine_line):
        """Every single sample, for whoever wants to compare two runs."""
        runs = [
            {"of": list(key), "rounds": [vars(sample) for sample in samples]}
            for key, samples in self.results.items()
        ]
        idle = {name: vars(figures) for name, figures in self.idle.items()}
        return json.dumps({"machine": machine_line, "runs": runs, "idle_kib": idle}, indent=1)


def median(samples, field):
    """The median of one figure over the rounds; None where there is none."""
    values = [getattr(sample, field) for sample in samples]
    return None if None in values else statistics.median(values)


def markdown(header, modes, client_counts, names, results, skipped, idle, idle_clients):
    """Everything as text. `results` maps (mode, clients, name) to the samples of its rounds.

    `names` are all, each with those that it is compared with, by what these are called.
    """
    lines = ["# pgusher beside its peers", "", *header, ""]
    for mode in modes:
        lines += _mode_table(mode, client_counts, names, results)
    if modes:
        lines += _login_table(modes[0], max(client_counts), names, results)
    if idle:
        lines += _idle_table(idle, idle_clients)
    return "\n".join([*lines, *skipped_lines(skipped)])


def _mode_table(mode, client_counts, names, results):
    lines = [f"## pgbench -S -M {mode}", ""]
    compared = list(dict.fromkeys(called for others in names.values() for called in others))
    lines.append(
        f"| clients | | CPU µs / transaction | {''.join(f'of {called} | ' for called in compared)}"
        "least–most | per second | p50 ms | p99 ms |"
    )
    lines.append("|--:|---|" + "--:|" * (5 + len(compared)))
    for clients in client_counts:
        for name, others in names.items():
            if samples := results.get((mode, clients, name)):
                times = [
                    ratio(samples, results.get((mode, clients, others.get(called))), "cpu_us")
                    for called in compared
                ]
                lines.append(f"| {clients} | {name} | {_figures(samples, times)} |")
    return [*lines, ""]


def first(cells, start):
    """The samples of the first whose name begins like that: what others are compared with."""
    return next((cells[name] for name in cells if name.startswith(start)), None)


def ratio(samples, others, field):
    """The median of the ratios of each round, so that what meets a whole round cancels out."""
    if not others or len(others) != len(samples):
        return None
    pairs = [(getattr(it, field), getattr(other, field)) for it, other in zip(samples, others)]
    if not all(mine and theirs for mine, theirs in pairs):
        return None
    return statistics.median(mine / theirs for mine, theirs in pairs)


def shown(figure, form=".2f"):
    """A dash where there is none."""
    return "–" if figure is None else format(figure, form)


def _figures(samples, times):
    cpu = median(samples, "cpu_us")
    every = [sample.cpu_us for sample in samples]
    return " | ".join(
        [
            shown(cpu, ".1f"),
            *map(shown, times),
            "–" if cpu is None else f"{min(every):.1f}–{max(every):.1f}",
            f"{median(samples, 'tps'):.0f}",
            f"{median(samples, 'p50_ms'):.2f}",
            f"{median(samples, 'p99_ms'):.2f}",
        ]
    )


def _login_table(mode, clients, names, results):
    lines = [f"## Login, CPU µs of the proxy, {clients} clients at once", "", "| | |", "|---|--:|"]
    for name in names:
        samples = results.get((mode, clients, name), [])
        cost = median(samples, "login_us") if samples else None
        if cost is not None:
            lines.append(f"| {name} | {cost:.0f} |")
    return [*lines, ""]


def _idle_table(idle, count):
    lines = [f"## Resident memory, KiB per client, {count} idle clients", ""]
    lines.append(
        "| | logged in | after one query | after one prepared statement "
        "| still held when all have left |"
    )
    lines.append("|---|--:|--:|--:|--:|")
    for name, figures in idle.items():
        cells = ["–" if cell is None else f"{cell:.2f}" for cell in vars(figures).values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def skipped_lines(skipped):
    """Who could not take part, and why."""
    if not skipped:
        return []
    return ["## Skipped", "", *(f"- {what}: {why}" for what, why in skipped.items()), ""]
