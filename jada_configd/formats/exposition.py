"""Metrics as text: Prometheus' text exposition format, version 0.0.4, as node_exporter reads it.

Each series stands once: one that stood twice would have the whole file refused. Values of labels
are UTF-8, and what a terminal would act on is an escape in them.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from jada_configd.core.histogram import Histogram
from jada_configd.core.metrics import PREFIX, Metric
from jada_configd.core.samples import Facts, Sample
from jada_configd.core.wording import escaped

_IN_LABELS: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_IN_HELP: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})


def exposition(comment: str, metrics: Iterable[Metric], facts: Facts) -> str:
    """The whole text: a comment in the first line, then each metric that has samples."""
    lines = [f"# {escaped(comment)}"]
    for metric in metrics:
        name = PREFIX + metric.name
        found = list(_series(name, metric.labels, metric.samples(facts)))
        if found:
            lines.append(f"# HELP {name} {metric.help.translate(_IN_HELP)}")
            lines.append(f"# TYPE {name} {metric.sort}")
            lines += found
    return "\n".join(lines) + "\n"


def _series(name: str, names: tuple[str, ...], samples: Iterable[Sample]) -> Iterator[str]:
    seen: set[str] = set()
    for values, value in samples:
        labels = ",".join(map(_label, names, values))
        if labels in seen:
            continue
        seen.add(labels)
        if isinstance(value, Histogram):
            yield from _histogram(name, labels, value)
        else:
            yield f"{name}{_braced(labels)} {_number(value)}"


def _histogram(name: str, labels: str, histogram: Histogram) -> Iterator[str]:
    before = f"{labels}," if labels else ""
    for bound, count in histogram.buckets():
        yield f'{name}_bucket{{{before}le="{_number(bound)}"}} {count}'
    yield f"{name}_sum{_braced(labels)} {_number(histogram.sum)}"
    yield f"{name}_count{_braced(labels)} {histogram.count}"


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _label(name: str, value: str) -> str:
    return f'{name}="{escaped(value).translate(_IN_LABELS)}"'


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else repr(value)
