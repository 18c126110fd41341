"""Counts the system calls of processes that run: with perf if it may, else with strace.

perf counts in the kernel and hardly disturbs; strace stops the process at each call, so that more
has come by the time it asks again: what it does for many at once looks cheaper than it is.
"""

import collections
import os
import re
import shutil
import signal
import subprocess
import time

from .processes import Failed

# What an event loop asks for. The rest is counted together.
NAMES = (
    "accept4", "clock_gettime", "close", "connect", "epoll_ctl", "epoll_pwait", "epoll_wait",
    "futex", "getpid", "getrandom", "getsockopt", "madvise", "mmap", "munmap", "read", "readv",
    "recvfrom", "recvmsg", "sched_yield", "sendmsg", "sendto", "setsockopt", "timerfd_settime",
    "write", "writev",
)
OTHERS = "others"
# Another name for what is the same.
SAME = {"epoll_pwait": "epoll_wait"}
# Those that may answer that there is nothing yet.
MAY_WAIT = (
    "accept4", "read", "readv", "recvfrom", "recvmsg", "sendmsg", "sendto", "write", "writev",
)
# Its key in what is counted: calls that answered EAGAIN.
AGAIN = "EAGAIN"


def find():
    """The better of the two that works here."""
    for tool in (_Perf, _Strace):
        if shutil.which(tool.name) and tool.works():
            return tool
    raise Failed("needs perf or strace, and the right to watch other processes")


class _Perf:
    name = "perf"

    @staticmethod
    def works():
        """It needs the kernel's tracepoints."""
        command = ["perf", "stat", "-x,", "-e", "syscalls:sys_enter_close", "true"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    @staticmethod
    def count(pids, run, directory):
        """Calls by name while `run(under)` runs something under it."""
        path = os.path.join(directory, "perf-stat")
        events = ["-e", "raw_syscalls:sys_enter"]
        for name in NAMES:
            events += ["-e", f"syscalls:sys_enter_{name}"]
        for name in MAY_WAIT:
            events += ["-e", f"syscalls:sys_exit_{name}", "--filter", "ret == -11"]
        run(["perf", "stat", "-x,", "-o", path, "-p", ",".join(map(str, pids)), *events, "--"])
        calls = collections.Counter()
        with open(path, encoding="utf-8") as file:
            found = re.findall(r"^(\d+),,\w+:sys_(enter|exit)(?:_(\w+))?,", file.read(), re.M)
        for count, side, name in found:
            calls[AGAIN if side == "exit" else SAME.get(name, name) or OTHERS] += int(count)
        calls[OTHERS] -= sum(calls[name] for name in NAMES if name not in SAME)
        return calls


class _Strace:
    name = "strace"

    @staticmethod
    def works():
        """It may be forbidden to watch."""
        command = ["strace", "-c", "-o", os.devnull, "true"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    @staticmethod
    def count(pids, run, directory):
        """As perf does, but that errors of all kinds are counted as EAGAIN."""
        path = os.path.join(directory, "strace")
        command = ["strace", "-c", "-f", "-o", path]
        command += [part for pid in pids for part in ("-p", str(pid))]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
            try:
                # It says who is attached; threads come after the process.
                for _ in pids:
                    strace.stderr.readline()
                time.sleep(0.2)
                run([])
            finally:
                strace.send_signal(signal.SIGINT)
                strace.communicate()
        calls = collections.Counter()
        with open(path, encoding="utf-8") as file:
            found = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(\d+)? +(\w+)$", file.read(), re.M)
        for count, errors, name in found:
            if name != "total":
                calls[SAME.get(name, name)] += int(count)
                calls[AGAIN] += int(errors or 0)
        return calls
