"""Says what a moment of a process went into: of the kernel, of a library, of pgusher's own parts.

For a moment in the kernel the calls that led there tell. For one in the program itself it is the
source file, also of what the compiler has put into another function; that is why pgusher is built
with line tables.
"""

import re
import subprocess

# The first group that has any of the calls on the stack; the caller's side of a connection does
# the work of the loopback device and of waking whoever waits at the other end.
KERNEL = (
    ("kernel: scheduler and wake-ups", re.compile(
        r"^(__)?schedule|try_to_wake_up|^__wake_up|wake_up_q|finish_task_switch|ep_poll_callback"
    )),
    ("kernel: TCP send", re.compile(r"^tcp_sendmsg|^__sys_send|^sock_write_iter|^do_writev")),
    ("kernel: TCP receive", re.compile(r"^tcp_recvmsg|^__sys_recv|^sock_read_iter|^ksys_read")),
    ("kernel: epoll", re.compile(r"^ep_|^do_epoll|^__x64_sys_epoll|^__do_sys_epoll|^eventpoll")),
    ("kernel: interrupts", re.compile(r"interrupt|irq|^sysvec|softirq")),
    ("kernel: entry and exit", re.compile(r"syscall|entry_SYSCALL")),
)
KERNEL_REST = "kernel: the rest"

# Of pgusher: directories and files in src/.
PARTS = {
    "session": "pgusher: session", "wire": "pgusher: session", "tenant": "pgusher: session",
    "sql": "pgusher: sql", "net": "pgusher: net, relay", "server": "pgusher: net, relay",
    "pool": "pgusher: pool", "cancel": "pgusher: pool", "sync": "pgusher: pool",
    "limit": "pgusher: limits, metrics", "meter": "pgusher: limits, metrics",
    "metrics": "pgusher: limits, metrics",
}
PARTS_REST = "pgusher: the rest"
RUNTIME, STANDARD, CRATES = "tokio, mio", "Rust's library", "other crates"
MEMORY, ALLOCATION = "libc: memory moved, compared", "libc: allocation"
CALLS, PROGRAM = "libc and vdso: calls", "the program itself"

# In which order they are shown.
ORDER = (
    *(name for name, _ in KERNEL), KERNEL_REST, *dict.fromkeys(PARTS.values()), PARTS_REST, RUNTIME,
    STANDARD, CRATES, PROGRAM, MEMORY, ALLOCATION, CALLS,
)


def of_stack(frames):
    """The group of a moment: address, function and file of what runs, and of who has called it."""
    _, function, where = frames[0]
    if where.startswith("[kernel"):
        return _of_kernel([name for _, name, place in frames if place.startswith("[kernel")])
    return _of_library(function) if re.search(r"libc[.-]|ld-linux|vdso", where) else PROGRAM


def _of_kernel(stack):
    for name, called in KERNEL:
        if any(called.search(function) for function in stack):
            return name
    return KERNEL_REST


def _of_library(function):
    if re.search(r"mem(cpy|move|set|cmp|chr)|str(len|cmp)", function):
        return MEMORY
    if re.search(r"alloc|free|^_int_|tcache|unlink_chunk", function):
        return ALLOCATION
    return CALLS


def of_addresses(binary, addresses):
    """The group of each address in a program with line tables, by its source."""
    done = subprocess.run(
        ["addr2line", "-a", "-i", "-e", binary],
        input="".join(f"{address:#x}\n" for address in addresses),
        capture_output=True, text=True, check=True,
    )
    groups, address, found = {}, None, None
    for line in done.stdout.splitlines():
        if line.startswith("0x"):
            address, found = int(line, 16), None
            groups[address] = STANDARD
        elif found is None:
            # From the innermost outwards, past what is Rust's own.
            found = _of_source(line)
            groups[address] = found or STANDARD
    return groups


def _of_source(place):
    if crate := re.search(r"/registry/src/[^/]+/([^/]+)/", place):
        return RUNTIME if re.match(r"(tokio|mio)-\d", crate[1]) else CRATES
    if re.search(r"/rustc/|/library/(core|std|alloc)/|^\?\?", place):
        return None
    part = re.search(r"(?:^|/)src/([a-z_]+)", place)
    return PARTS.get(part[1], PARTS_REST) if part else None
