"""The text of the metrics, as Prometheus itself reads it: whatever names and numbers are in it."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.account import Account
from jada_configd.core.metrics import METRICS, Metric
from jada_configd.core.model import Change, Drift, Resource, ResourceId
from jada_configd.core.report import BreakerMoved, Reconciled, Report, ServiceApplied, Tried
from jada_configd.core.samples import Facts, Sample
from jada_configd.formats.exposition import exposition
from tests import promtool
from tests.core.test_metrics import USAGE, facts, service

HOSTILE = '/home/eve"\\\n\x1b[2J\u202e\udcff{le="1"} 0\n# TYPE x counter\n/é'
LINE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)')
DRIFT = Drift((Change(("model",), 1, 2),))


def text_of(*samples: Sample, sort: str = "gauge", labels: tuple[str, ...] = ("id",)) -> str:
    metric = Metric("x", sort, labels, "A help.", lambda _: iter(samples))  # type: ignore[arg-type]
    return exposition("by us", [metric], facts())


def whole(*names: str) -> str:
    """A text in which every metric has samples, of resources with these names."""
    account = Account(1.5)
    for name in names:
        held = Resource(ResourceId("settings", name), None, "enforce", "p:1")
        report = Report(held, "corrected", DRIFT, detected_ns=0, corrected_ns=1_234_567)
        account.take(Reconciled(report), 2.5)
    account.take(ServiceApplied("a.service", "restart", "done", (), 5.25), 3.5)
    account.take(Tried("a.service", "healthy", "", (), 5.25), 3.5)
    account.take(Tried("a.service", "rolled-back", "why", (), 5.25, well=True), 3.5)
    account.take(BreakerMoved("a.service", "half-open", "why"), 3.5)
    account.policy_loaded = 1.25
    resources = [{"id": f"settings:{name}", "result": "in-sync"} for name in names]
    services = [service(usage=USAGE, breaker={"state": "half-open"}), service("b.service")]
    seen = facts(account, resources=resources, services=services)
    return exposition("by us", METRICS, Facts(seen.snapshot, account))


def test_it_is_written_as_prometheus_writes_it() -> None:
    assert text_of((("a",), 1), (("b",), 0.25), (("c",), float("inf"))) == (
        "# by us\n"
        "# HELP jada_configd_x A help.\n"
        "# TYPE jada_configd_x gauge\n"
        'jada_configd_x{id="a"} 1\n'
        'jada_configd_x{id="b"} 0.25\n'
        'jada_configd_x{id="c"} +Inf\n'
    )


def test_what_has_no_sample_is_left_out() -> None:
    assert text_of() == "# by us\n"


def test_prometheus_itself_finds_nothing_wrong_with_any_of_it() -> None:
    text = whole("/home/ubuntu/.claude/settings.json", HOSTILE, "/a\nb", "/a\\nb")
    for metric in METRICS:
        assert f"# TYPE jada_configd_{metric.name} {metric.sort}\n" in text
    assert promtool.check(text) == ""


def test_prometheus_itself_is_asked() -> None:
    assert "counter metrics should have" in promtool.check("# HELP x A.\n# TYPE x counter\nx 1\n")
    assert promtool.check('x{a="b} 1\n') != ""


def test_buckets_add_up_and_end_in_infinity() -> None:
    text = whole("/a", "/b")
    name = "jada_configd_correction_duration_seconds"
    found = re.findall(rf'^{name}_bucket{{kind="settings",le="(.+)"}} (\d+)$', text, re.MULTILINE)
    counts = [int(count) for _, count in found]
    assert counts == sorted(counts)
    assert found[-1] == ("+Inf", "2")
    assert f'{name}_count{{kind="settings"}} 2\n' in text
    assert f'{name}_sum{{kind="settings"}} 0.002469134\n' in text


@given(st.lists(st.text(st.characters(), max_size=12), max_size=6))
def test_no_name_breaks_a_line_or_makes_a_series_twice(names: list[str]) -> None:
    text = text_of(*(((name,), 1) for name in names))
    text.encode()  # UTF-8, whatever bytes a path is made of
    series = []
    for line in text.removesuffix("\n").split("\n"):
        assert line.isprintable()
        if not line.startswith("# "):
            found = LINE.fullmatch(line)
            assert found, line
            series.append(found[2])
    assert len(series) == len(set(series)) <= len(set(names))


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), max_size=20))
def test_a_printable_name_is_read_back_as_it_is(name: str) -> None:
    (line,) = (each for each in text_of(((name,), 1)).splitlines() if each.startswith("jada"))
    assert json.loads(line.partition("=")[2].removesuffix("} 1")) == name
