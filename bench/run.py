"""Measures the daemon beside a floor program in C, in the same run, and prints how they compare.

Ratios carry over from one machine to another, milliseconds do not. Nothing here fails a build: a
figure that misses its target says so. `--quick` is for trying the bench itself out; `--calm` for a
machine on which other things run: they then decide less.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from subjects import (
    CHECKOUT,
    FLOOR,
    MEMORY,
    NEEDLE,
    Files,
    Lost,
    Running,
    build_floor,
    command,
    daemon,
    drifts,
    floor,
    minimal,
    places,
    started,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `figure` is held against `most`, both in `unit`."""

    what: str
    figure: float
    most: float | None
    unit: str
    said: str


@dataclass(frozen=True, slots=True)
class Bench:
    """Where to measure, and how long."""

    disk: Path
    memory: Path | None
    share: float  # of the full number of repetitions

    def times(self, count: int) -> int:
        return max(3, int(count * self.share))

    @contextmanager
    def files(self, count: int, *, memory: bool = False) -> Iterator[Files]:
        where = self.memory if memory and self.memory else self.disk
        directory = Path(tempfile.mkdtemp(prefix="bench-", dir=where))
        directory.chmod(0o755)
        try:
            yield Files.lay_out(directory, count)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
            shutil.rmtree(MEMORY / directory.name, ignore_errors=True)


def quantile(figures: list[float], share: float) -> float:
    return sorted(figures)[min(len(figures) - 1, int(share * len(figures)))]


def spread(figures: list[float]) -> str:
    return f"{quantile(figures, 0.5):.2f}/{quantile(figures, 0.99):.2f} ms"


# ---- drift to correction


def latency(bench: Bench) -> Iterator[Row]:
    """All subjects run throughout and take turns, so that the machine's moods hit all alike."""
    yield from _latency(bench, memory=False)
    if bench.memory:
        yield from _latency(bench, memory=True)


def _latency(bench: Bench, *, memory: bool) -> Iterator[Row]:
    where = "tmpfs" if memory else "disk"
    with ExitStack() as stack:
        subjects: dict[str, Files] = {}
        for name, start, count in (
            ("floor", floor, 1),
            ("minimal", minimal, 1),
            ("daemon", daemon, 1),
            ("daemon, 1,000 files", daemon, 1000),
        ):
            subjects[name] = stack.enter_context(bench.files(count, memory=memory))
            stack.enter_context(start(subjects[name]))
        took: dict[str, list[float]] = {name: [] for name in subjects}
        for files in subjects.values():
            drifts(files, 5)
        for _ in range(10):
            for name, files in subjects.items():
                took[name] += drifts(files, bench.times(200) // 10 or 1)
    base = took["floor"]
    for name in ("minimal", "daemon"):
        for share in (0.5, 0.99):
            ratio = quantile(took[name], share) / quantile(base, share)
            most = 2.0 if name == "daemon" and not memory else None
            said = f"{spread(took[name])}; floor {spread(base)} (p50/p99)"
            yield Row(f"{where}: {name}, 1 file, p{share * 100:.0f}", ratio, most, "x floor", said)
    many, one = took["daemon, 1,000 files"], took["daemon"]
    ratio = quantile(many, 0.5) / quantile(one, 0.5)
    most = None if memory else 1.3
    yield Row(f"{where}: daemon, 1,000 files, p50", ratio, most, "x 1 file", spread(many))


# ---- start, memory, idleness


def readiness(bench: Bench) -> Iterator[Row]:
    """From exec to READY=1, everything in sync."""
    for count in (10, 1000):
        took = []
        with bench.files(count) as files:
            for _ in range(bench.times(10)):
                with daemon(files) as running:
                    took.append(running.ready * 1e3)
        most = 300.0 if count == 10 else None
        said = f"worst of {len(took)}: {max(took):.0f} ms; Python alone {interpreter():.0f} ms"
        yield Row(f"READY=1, {count:,} files", quantile(took, 0.5), most, "ms", said)


def interpreter() -> float:
    """What an interpreter that does nothing takes (ms): the part that no program here can save."""
    return quantile([timed([sys.executable, "-I", "-c", "pass"]) for _ in range(5)], 0.5)


def timed(words: list[str], environ: dict[str, str] | None = None, status: int = 0) -> float:
    began = time.perf_counter()
    done = subprocess.run(words, env=environ, capture_output=True, check=False)
    took = (time.perf_counter() - began) * 1e3
    if done.returncode != status:
        raise SystemExit(f"{words}: {done.returncode}\n{done.stdout!r}\n{done.stderr!r}")
    return took


def residence(bench: Bench) -> Iterator[Row]:
    """An hour has 12 sweeps at the default of 5 minutes; here they come each second."""
    sweeps, count = bench.times(12), 10
    with bench.files(count) as files, daemon(files, sweep="1s") as running:
        drifts(files, bench.times(100))
        time.sleep(sweeps)
        pages = rollup(running.pid)
    with bench.files(count) as files, floor(files) as running:
        base = rollup(running.pid)
    said = f"PSS {pages['Pss']:.1f} MiB; floor {base['Rss']:.1f} MiB resident"
    yield Row("resident, 10 files, 12 sweeps, 100 drifts", pages["Rss"], 30.0, "MiB", said)


def rollup(pid: int) -> dict[str, float]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}


def idleness(bench: Bench) -> Iterator[Row]:
    """With a watchdog of 10 s the beat comes each 5 s, and nothing else should."""
    seconds = 30 * bench.share
    # In memory: what others do in a directory above wakes us, and a build directory is busy.
    with bench.files(10, memory=True) as files, daemon(files, watchdog_us=10_000_000) as running:
        time.sleep(3)  # what the first pass leaves to be told
        before = sleeps(running.pid)
        time.sleep(seconds)
        count = sleeps(running.pid) - before
    beats = seconds / 5
    said = f"{count} in {seconds:.0f} s, of which some {beats:.0f} are the watchdog's beat"
    yield Row("wake-ups when nothing happens", count / max(beats, 1), 1.0, "x the beats", said)


def sleeps(pid: int) -> int:
    """How often its threads have gone to sleep (proc(5), voluntary_ctxt_switches)."""
    count = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        lines = status.read_text().splitlines()
        count += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))
    return count


# ---- others on the machine


def readers(bench: Bench) -> Iterator[Row]:
    """A reader in a loop: how often it sees the wrong value while the file drifts 300 times."""
    subjects = {"floor": floor, "minimal": minimal, "daemon": daemon}
    wrong: dict[str, list[int]] = {name: [0, 0] for name in subjects}
    with ExitStack() as stack:
        files = {name: stack.enter_context(bench.files(1)) for name in subjects}
        for name, start in subjects.items():
            stack.enter_context(start(files[name]))
        lost = set()
        for _ in range(6):
            for name in subjects:
                words = [str(FLOOR), "read", str(files[name].first), NEEDLE]
                with started(words) as running:
                    try:
                        drifts(files[name], bench.times(300) // 6 or 1)
                    except Lost:
                        lost.add(name)
                    running.process.terminate()
                    counts = running.process.communicate()[0].split()
                for place in (0, 1):
                    wrong[name][place] += int(counts[place])
    share = {name: 100 * bad / reads for name, (reads, bad) in wrong.items()}
    for name, most in (("minimal", None), ("daemon", 3.0)):
        said = f"{share[name]:.2f} % of reads; floor {share['floor']:.2f} %"
        said += "; a drift was never corrected" if name in lost else ""
        yield Row(f"wrong reads, {name}", share[name] / share["floor"], most, "x floor", said)


def noise(bench: Bench) -> Iterator[Row]:
    """Somebody writes a file that nobody owns, beside one that is held and drifts meanwhile."""
    seconds = max(1.0, 10 * bench.share)
    for how, rate, most in (
        ("in-place", 1000, 5.0),
        ("rename", 1000, None),
        ("create", 20000, None),
    ):
        with bench.files(10, memory=True) as files, daemon(files) as running:
            time.sleep(1)
            time_left = 1.0 if how == "create" else seconds
            words = [str(FLOOR), "write", str(files.first.with_name("history"))]
            words += [str(rate), str(time_left), how]
            before, began = cpu(running), time.monotonic()
            with started(words) as writer:
                writer.process.wait()
            share = 100 * (cpu(running) - before) / (time.monotonic() - began)
            with started(words):
                took = drifts(files, 20)
        said = f"drifts meanwhile {spread(took)}"
        yield Row(f"{rate:,} writes a second, {how}", share, most, "% of a core", said)


def watching(bench: Bench) -> Iterator[Row]:
    """The watcher by itself, in this process."""
    from jada_configd.host.watching.watch import Watcher

    with bench.files(1000) as files:
        paths = [f"{files.directory}/homes/{number:04}/settings.json" for number in range(1000)]
        took = []
        for _ in range(bench.times(10)):
            watcher = Watcher()
            took.append(spent(watcher.watch, paths))
            watcher.close()
        yield Row("watches set up, 1,000 files", quantile(took, 0.5), 60.0, "ms", spread(took))
        watcher = Watcher()
        watcher.watch(paths)
        took = []
        for _ in range(bench.times(1000)):
            temporary = files.first.with_name("new")
            temporary.write_text("{}")
            temporary.rename(files.first)
            took.append(spent(watcher.hints))
        watcher.close()
    yield Row("one drain of hints after a rename", quantile(took, 0.5), None, "ms", spread(took))


def processes(bench: Bench) -> Iterator[Row]:
    """Every process of a unit compared with the policy; none may have what it says."""
    from crowd import NOBODY, crowd

    users = [("", 0), (" of another user", NOBODY)] if os.geteuid() == 0 else [("", 0)]
    for whose, uid in users:
        with crowd(2000, uid=uid) as many:
            for wrong, all_of in ((False, ""), (True, ", all wrong")):
                look = partial(many.look, wrong=wrong)
                took = [spent(look) for _ in range(bench.times(30))]
                what = f"2,000 processes{whose} looked at{all_of}"
                yield Row(what, quantile(took, 0.5), 50.0, "ms", spread(took))


def spent(call: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    call(*arguments)
    return (time.perf_counter() - began) * 1e3


def cpu(running: Running) -> float:
    """Processor time so far (seconds); not in ticks, which miss what sleeps in between."""
    threads = Path(f"/proc/{running.pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


# ---- commands


def checking(bench: Bench) -> Iterator[Row]:
    """`check` with everything in sync."""
    for count, entries, most in ((10, False, 200.0), (1000, False, 400.0), (1000, True, None)):
        with bench.files(count) as files:
            environ = places(files.directory, files.policy(entries=entries))
            took = [timed(command(environ, "check"), environ) for _ in range(bench.times(15))]
        held = "an entry each" if entries else "one glob"
        said = f"p90 {quantile(took, 0.9):.0f} ms; Python alone {interpreter():.0f} ms"
        yield Row(f"check, {count:,} files, {held}", quantile(took, 0.5), most, "ms", said)


ROWS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "latency": latency,
    "ready": readiness,
    "memory": residence,
    "idle": idleness,
    "readers": readers,
    "noise": noise,
    "watch": watching,
    "processes": processes,
    "check": checking,
}


DOCUMENT = CHECKOUT / "docs/performance.md"
BEGIN, END = "<!-- begin: make bench -->\n", "<!-- end: make bench -->"


def write_down(head: list[str], rows: list[Row]) -> None:
    """Put the figures into docs/performance.md in the place of those that stand there."""
    lines = [". ".join(head) + ".", ""]
    lines += ["| what | figure | at most | in detail |", "|---|---|---|---|"]
    for row in rows:
        most = "" if row.most is None else f"{row.most:g}"
        missed = row.most is not None and row.figure > row.most
        figure = f"**{row.figure:.2f}** (missed)" if missed else f"{row.figure:.2f}"
        lines.append(f"| {row.what} | {figure} {row.unit} | {most} | {row.said} |")
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + after)


def machine() -> str:
    model = "?"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
            break
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    python = platform.python_version()
    return f"{os.cpu_count()} x {model}; Linux {platform.release()}, {system}, Python {python}"


def commit() -> str:
    words = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() or "?"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    options.add_argument("--quick", action="store_true", help="a tenth of the repetitions")
    options.add_argument(
        "--calm", action="store_true", help="at real-time priority, all subjects alike (root)"
    )
    options.add_argument(
        "--write", action="store_true", help="the figures into docs/performance.md"
    )
    options.add_argument("--directory", type=Path, default=CHECKOUT / "build")
    chosen = options.parse_args()
    if chosen.calm:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    build_floor()
    chosen.directory.mkdir(exist_ok=True)
    memory = MEMORY if MEMORY.is_dir() else None
    bench = Bench(chosen.directory.resolve(), memory, 0.1 if chosen.quick else 1.0)
    head = [machine(), f"Commit {commit()}; load before {os.getloadavg()[0]:.2f}"]
    if chosen.calm:
        head.append("At real-time priority, all subjects alike")
    print("\n".join(head), end="\n\n")
    print(f"{'':44} {'figure':>9} {'at most':>9}")
    found = []
    for name in chosen.rows or ROWS:
        for row in ROWS[name](bench):
            found.append(row)
            most = "" if row.most is None else f"{row.most:g}"
            verdict = "" if row.most is None else "   " if row.figure <= row.most else " ! "
            print(f"{row.what:44} {row.figure:9.2f} {most:>9}{verdict:3} {row.unit:12} {row.said}")
            sys.stdout.flush()
    missed = [row.what for row in found if row.most is not None and row.figure > row.most]
    print(f"\n{len(missed)} missed: {'; '.join(missed)}" if missed else "\nevery target met")
    rows = [asdict(row) for row in found]
    document = json.dumps({"head": head, "rows": rows}, indent=1)
    (chosen.directory / "bench.json").write_text(document)
    if chosen.write:
        write_down(head, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
