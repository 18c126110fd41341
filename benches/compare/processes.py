"""Child processes: started, watched, and ended by their process id, never by name."""

import glob
import math
import os
import signal
import socket
import subprocess
import time


class Failed(Exception):
    """A contender cannot take part; the text says why."""


class Process:
    """A child that listens on a port."""

    def __init__(self, name, command, log, port, user=None, env=None):
        self.name, self.log = name, log
        identity = {"user": user, "group": user, "extra_groups": []} if user else {}
        with open(log, "ab") as file:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, **(env or {})},
                # Ctrl-C is for the parent, which then ends its children in the right order.
                start_new_session=True,
                **identity,
            )
        self.pid = self._popen.pid
        try:
            self._wait_until_listening(port)
        except BaseException:
            # Also when a signal ends the wait: nobody else knows of this child yet.
            self.stop()
            raise

    def _wait_until_listening(self, port, seconds=20):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._popen.poll() is not None:
                raise Failed(f"{self.name} ended at once: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failed(f"{self.name} did not listen within {seconds} s: {self.last_words()}")

    def last_words(self):
        """The end of its log, on one line."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return " / ".join(line.strip() for line in file.readlines()[-3:]) or "no output"

    def check(self):
        """A contender that died in the middle is a failure, not a fast one."""
        if self._popen.poll() is not None:
            raise Failed(f"{self.name} died: {self.last_words()}")

    def stop(self, kind=signal.SIGTERM):
        """Ends it, by force if need be."""
        if self._popen.poll() is None:
            self._popen.send_signal(kind)
            try:
                self._popen.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()


def cpu_seconds(pid):
    """User and system time of all threads of a process so far.

    The scheduler's own count is in nanoseconds; /proc/PID/stat only has ticks of 10 ms, which is
    too coarse for runs of a few seconds. It stands in where the kernel keeps no such count.
    """
    nanoseconds = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            with open(path, encoding="ascii") as file:
                nanoseconds += int(file.read().split()[0])
        except OSError:
            continue
    if nanoseconds:
        return nanoseconds / 1e9
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def weigh(pids, weight=1):
    """Together they get so many times the share of a busy machine that one program gets.

    Linux gives each session the same share (`sched_autogroup_enabled`), and each child here is one,
    whatever the number of its threads. A level of nice is a factor of 1.25 to that share.
    """
    level = round(math.log(len(pids) / weight, 1.25))
    for pid in pids:
        try:
            _set_level(pid, level)
        except OSError as why:
            raise Failed(f"the scheduler takes no weight for it: {why}") from why


def _set_level(pid, level):
    deadline = time.monotonic() + 2
    while True:
        try:
            with open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as file:
                file.write(str(level))
            return
        except BlockingIOError:
            # Who is not root may say so ten times a second.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def are_grouped():
    """Whether the scheduler gives each session its share, and not each thread."""
    try:
        with open("/proc/sys/kernel/sched_autogroup_enabled", encoding="ascii") as file:
            is_on = file.read().strip() == "1"
        with open("/proc/self/cgroup", encoding="ascii") as file:
            fields = [line.strip().split(":") for line in file]
    except FileNotFoundError:
        return False
    # In a control group of the processor all sessions share what that group has. The second version
    # has one line only, and does not say there whether the processor is controlled.
    own = [path for _, kinds, path in fields if not kinds or "cpu" in kinds.split(",")]
    return is_on and all(path == "/" for path in own)


def resident_bytes(pid):
    """Memory of a process that is in RAM now."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def forget_peak(pid):
    """The peak is what there is now."""
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def peak_bytes(pid):
    """The most memory of a process that was in RAM."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise Failed(f"no peak is known of process {pid}")


def free_port():
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
