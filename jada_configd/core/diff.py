"""Desired minus observed, over owned fields only."""

from collections.abc import Mapping

from jada_configd.core.model import ABSENT, Change, Drift, Field, Observed, Rule, same


def diff(desired: Mapping[Field, Rule], observed: Observed) -> Drift:
    """What is not as declared. A field that was not seen is `ABSENT`."""
    if observed.vacant:
        return Drift()
    changes = []
    for field, rule in desired.items():
        have = observed.fields.get(field, ABSENT)
        want = rule.wanted(have)
        if not same(have, want):
            changes.append(Change(field, have, want))
    return Drift(tuple(changes), observed.problem)
