"""The tables."""

import json
import statistics


def median(samples, field):
    """The median of one figure over the rounds; None where there is none."""
    values = [getattr(sample, field) for sample in samples]
    return None if None in values else statistics.median(values)


def markdown(header, modes, client_counts, names, results, skipped, idle, idle_clients):
    """Everything as text. `results` maps (mode, clients, name) to the samples of its rounds."""
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
    lines.append("| clients | | CPU µs / transaction | least–most | per second | p50 ms | p99 ms |")
    lines.append("|--:|---|--:|--:|--:|--:|--:|")
    for clients in client_counts:
        for name in names:
            samples = results.get((mode, clients, name))
            if samples:
                lines.append(f"| {clients} | {name} | {_figures(samples)} |")
    return [*lines, ""]


def _figures(samples):
    cpu = median(samples, "cpu_us")
    every = [sample.cpu_us for sample in samples]
    return " | ".join(
        [
            "–" if cpu is None else f"{cpu:.1f}",
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


def as_json(machine_line, results, idle):
    """Every single sample, for whoever wants to compare two runs."""
    runs = [
        {"of": list(key), "rounds": [vars(sample) for sample in samples]}
        for key, samples in results.items()
    ]
    idle = {name: vars(figures) for name, figures in idle.items()}
    return json.dumps({"machine": machine_line, "runs": runs, "idle_kib": idle}, indent=1)
