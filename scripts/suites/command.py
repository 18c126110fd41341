"""Runs the program of a suite, bounded in time, its words in a file."""

import os
import signal
import subprocess

from . import results, sources


def run(command, log, seconds, cwd, env):
    """Its exit code, or nothing if it took too long. All it started ends with it."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **env}
    with open(log, "ab") as file:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=file, stderr=file, start_new_session=True,
                                   preexec_fn=_hear_interrupts)
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            file.write(f"\n-- ended after {seconds} s\n".encode())
            return None
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


def _hear_interrupts():
    """What runs in the background of a shell is deaf to them, and so would be its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def text(log):
    """What it said."""
    with open(log, encoding="utf-8", errors="replace") as file:
        return file.read()


def _add(found, more):
    """What went wrong at first is the better message: the second time may only meet what it left."""
    for name, result in more.items():
        if found.get(name, ("",))[0] != results.FAILED or result[0] != results.FAILED:
            found[name] = result


def pytest(program, arguments, run_directory, cwd, env, seconds=3600, timeout=60):
    """Runs pytest; its results. A test that hangs fails after `timeout` seconds.

    What failed runs once more: many suites have tests that a busy machine fails. Both ways have
    this second chance."""
    log = os.path.join(run_directory, "log")
    found = {}
    for attempt in ("first", "second"):
        junit = os.path.join(run_directory, f"{attempt}.xml")
        again = ["--last-failed", "--last-failed-no-failures=none"] if found else []
        run(
            [program, "-m", "pytest", "-q", f"--timeout={timeout}", f"--junitxml={junit}",
             "-o", f"cache_dir={os.path.join(run_directory, 'cache')}", *again, *arguments],
            log, seconds, cwd, env,
        )
        if not os.path.exists(junit):
            raise RuntimeError(f"pytest did not come to its end: see {log}")
        _add(found, results.from_junit(junit))
        if not any(result == results.FAILED for result, _ in found.values()):
            break
    return found


def cargo_test(directory, log, arguments, select, prefix="", env=None, seconds=300):
    """Runs `cargo test` of a crate; its results. What failed runs once more, as with pytest."""
    # The crate lies below another one's directory, to which it does not belong.
    manifest = os.path.join(directory, "Cargo.toml")
    with open(manifest, encoding="utf-8") as file:
        is_root = "[workspace]" in file.read()
    if not is_root:
        with open(manifest, "a", encoding="utf-8") as file:
            file.write("\n[workspace]\n")
    environment = {"CARGO_TARGET_DIR": os.path.join(sources.CACHE, "target"), **(env or {})}
    build = ["cargo", "test", "--quiet", *arguments, "--no-run"]
    run(build, log, 1800, directory, environment)
    found, names = {}, select
    for attempt in ("first", "second"):
        said = f"{log}.{attempt}"
        run(["cargo", "test", *arguments, "--no-fail-fast", "--", *names], said, seconds, directory,
            environment)
        _add(found, results.from_libtest(text(said), prefix))
        if not found:
            raise RuntimeError(f"no test ran: see {log} and {said}")
        names = [name.removeprefix(prefix) for name, (result, _) in found.items()
                 if result == results.FAILED]
        if not names:
            break
        names += ["--exact", "--include-ignored"]
    return found
