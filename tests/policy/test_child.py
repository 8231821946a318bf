"""The validating child, as the daemon starts it."""

import os
import select
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jada_configd.core.specs import Policy
from jada_configd.errors import PolicyError
from jada_configd.policy import Loading, child, load_plain
from tests.policy.test_policy import EXAMPLE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(EXAMPLE)
    return path


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    before = sorted(Path("/proc/self/fd").iterdir())
    yield
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def taken(path: Path) -> dict[str, object]:
    return dict(Loading(str(path)).take())


def test_the_child_makes_the_same_of_a_policy_as_the_program_itself(policy_file: Path) -> None:
    assert taken(policy_file) == load_plain(str(policy_file))


def test_the_childs_errors_are_the_programs(policy_file: Path) -> None:
    policy_file.write_text("version = 2\n[nonsense]\n")
    with pytest.raises(PolicyError) as in_child:
        taken(policy_file)
    with pytest.raises(PolicyError) as in_process:
        load_plain(str(policy_file))
    assert in_child.value.messages == in_process.value.messages


def test_it_can_be_waited_for_beside_other_things(policy_file: Path) -> None:
    loading = Loading(str(policy_file))
    descriptor = loading.fileno()
    assert descriptor is not None
    assert select.select([descriptor], [], [], 30)[0] == [descriptor]
    assert Policy.from_plain(loading.take()).sweep == 300


def test_it_can_be_given_up(policy_file: Path) -> None:
    loading = Loading(str(policy_file))
    loading.close()
    loading.close()


def test_an_earlier_result_that_still_fits_needs_no_child(policy_file: Path) -> None:
    plain = taken(policy_file)
    loading = Loading(str(policy_file), cached=plain)
    assert loading.fileno() is None
    assert loading.take() == plain
    loading.close()


@pytest.mark.parametrize("changed", ["text", "fragment", "home", "program", "path"])
def test_an_earlier_result_of_anything_else_is_not_used(policy_file: Path, changed: str) -> None:
    plain = {**taken(policy_file), "sweep": 1.0}
    home = None
    if changed == "text":
        policy_file.write_text(EXAMPLE + "# more")
    elif changed == "fragment":
        (policy_file.parent / "policy.d").mkdir()
        (policy_file.parent / "policy.d/1.toml").touch()
    elif changed == "home":
        home = "/home/x"
    elif changed == "program":
        plain["program"] = "0.0.9"
    else:
        plain["path"] = "/elsewhere/policy.toml"
    assert load_plain(str(policy_file), home=home, cached=plain)["sweep"] == 300


def test_a_child_that_takes_too_long_is_stopped(
    policy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_BOOT", "import time; time.sleep(60)")
    made = child.Child({"path": str(policy_file)})
    started = time.monotonic()
    with pytest.raises(PolicyError) as caught:
        made.take(0.05)
    assert time.monotonic() - started < 5
    assert caught.value.messages == (
        f"{policy_file}: its validation took more than 0.05 s and was stopped",
    )


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os; os._exit(1)", ""),
        ("import os; os.abort()", ""),
        ("raise KeyError('hunter2')", "KeyError"),
        ("print('nonsense')", ""),
    ],
)
def test_a_child_that_fails_is_said_so_without_what_it_was_at(
    policy_file: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    monkeypatch.setattr(child, "_BOOT", program)
    with pytest.raises(PolicyError) as caught:
        taken(policy_file)
    assert caught.value.messages == (
        f"{policy_file}: its validator ended without an answer ({said})",
    )


def test_an_interpreter_that_is_gone_is_said_so(
    policy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(PolicyError) as caught:
        taken(policy_file)
    assert caught.value.messages == (
        f"{policy_file}: its validator did not start: No such file or directory",
    )


def test_a_text_that_needs_too_much_memory_is_refused(
    policy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy_file.write_text(f"{EXAMPLE}[settings.orchestrator.set.x]\ny = [{'{},' * 300_000}]")
    assert taken(policy_file)
    boot, _, _ = child._BOOT.rpartition("from jada_configd.policy.__main__")
    for most in (80, 104, 110):  # by Python's version it runs short in another place
        little = f"__main__.MEMORY = {most} << 20; __main__.main()"
        monkeypatch.setattr(
            child, "_BOOT", f"{boot}from jada_configd.policy import __main__; {little}"
        )
        with pytest.raises(PolicyError) as caught:
            taken(policy_file)
        assert caught.value.messages == (
            f"{policy_file}: its validation needs more than {most} MiB of memory",
        )


def run(program: str, *options: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, *options, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **more,
    )


IMPORT = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"


def test_the_resident_program_imports_nothing_heavy(policy_file: Path) -> None:
    done = run(
        IMPORT
        + textwrap.dedent(f"""
        from jada_configd.policy import Loading
        Loading({str(policy_file)!r}).take()
        heavy = {{"pydantic", "pydantic_core", "subprocess", "tomllib", "difflib", "pathlib"}}
        print(sorted(heavy & set(sys.modules)))
        """),
        "-I",
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_neither_the_working_directory_nor_the_environment_is_trusted(
    policy_file: Path, tmp_path: Path
) -> None:
    for name in ("json", "pydantic", "tomllib", "jada_configd", "resource", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('got in')")
    done = run(
        IMPORT
        + textwrap.dedent(f"""
        import os
        os.chdir({str(tmp_path)!r})
        os.environ.update(PYTHONPATH={str(tmp_path)!r}, PYTHONHOME="/nowhere", PYTHONSTARTUP="x")
        from jada_configd.policy import Loading
        print(Loading({str(policy_file)!r}).take()["sweep"])
        """),
        "-I",
    )
    assert (done.stdout.strip(), done.stderr) == ("300.0", "")


def test_closed_standard_descriptors_and_blocked_signals_do_no_harm(policy_file: Path) -> None:
    done = run(
        IMPORT
        + textwrap.dedent(f"""
        import os, signal
        from jada_configd.policy import Loading
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        inherited = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(inherited, True)
        out = os.dup(1)
        for standard in (0, 1, 2):
            os.close(standard)
        sweep = Loading({str(policy_file)!r}).take()["sweep"]
        os.write(out, str(sweep).encode())
        """),
        "-I",
    )
    assert (done.stdout.strip(), done.stderr) == ("300.0", "")


def test_the_child_lowers_its_bounds_and_never_raises_one(policy_file: Path) -> None:
    done = run(
        IMPORT
        + textwrap.dedent("""
        import resource
        from jada_configd.policy import __main__
        for bound in (1 << 30, 1 << 31, 1 << 29):
            __main__._lower(resource.RLIMIT_FSIZE, bound)
            print(resource.getrlimit(resource.RLIMIT_FSIZE))
        """)
    )
    bounds = [(1 << 30, 1 << 30), (1 << 30, 1 << 30), (1 << 29, 1 << 29)]
    assert done.stdout.splitlines() == [str(bound) for bound in bounds]


def test_the_child_has_its_bounds_before_it_reads_anything(
    policy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot, _, _ = child._BOOT.rpartition("from jada_configd.policy.__main__")
    told = (
        "from jada_configd.policy import __main__ as m; import json, resource as r; m._answer = "
        "lambda: {'policy': {n: r.getrlimit(getattr(r, 'RLIMIT_' + n))[1] for n in "
        "('AS', 'CPU', 'FSIZE', 'CORE')}}; m.main()"
    )
    monkeypatch.setattr(child, "_BOOT", boot + told)
    bounds = child.Child({"path": str(policy_file)}).take()
    assert bounds == {"AS": 1 << 30, "CPU": 30, "FSIZE": 64 << 20, "CORE": 0}
