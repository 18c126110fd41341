"""What the benchmark runs on, and who uses its processors meanwhile."""

import os
import platform
import time


def description(versions):
    """One line that says what the figures belong to."""
    parts = [
        time.strftime("%Y-%m-%d"),
        f"{os.cpu_count()} × {_cpu_model()}",
        f"{_memory_gib():.0f} GiB",
        f"Linux {platform.release()}",
        *versions,
        "loopback TCP, SCRAM",
    ]
    return ", ".join(parts)


def _cpu_model():
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gib():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _lines(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.readlines()
    except OSError:
        return []


def stolen_seconds():
    """CPU time that the hypervisor gave to others, summed over all cores since boot."""
    return _processor_seconds()[7]


def busy_seconds():
    """CPU time that anybody used, summed over all cores since boot."""
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts = _processor_seconds()[:7]
    return user + nice + system + interrupts + soft_interrupts


def _processor_seconds():
    ticks = os.sysconf("SC_CLK_TCK")
    return [int(field) / ticks for field in _lines("/proc/stat")[0].split()[1:]]


def load():
    """How many processes want a processor: above ~0.5 before the start, somebody else is at work."""
    return os.getloadavg()[0]
