"""What the first pass would do: `check` of a policy that does not stand in its place yet."""

from jada_configd.assembly import assemble
from jada_configd.core.snapshot import resource_plain
from jada_configd.core.specs import Policy
from jada_configd.host.directories import Directories
from jada_configd.render import Painter, passed


def first_pass(
    policy: Policy, where: Directories, paint: Painter, *, verbose: bool
) -> tuple[tuple[str, ...], str]:
    """The warnings and the text of `check`; changes nothing.

    Raises `HostError` where nothing can be looked at.
    """
    assembly = assemble(where, lambda _event: None, daemon=False, writes=False)
    policy, reports, _ = assembly.look(policy)
    plain = [resource_plain(report) for report in reports]
    return policy.warnings, passed(plain, paint, next_step=None, verbose=verbose)
