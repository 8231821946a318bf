"""`validate` and `schema`: the policy language, without a host."""

import argparse
import os
from collections.abc import Sequence

from jada_configd.assembly import assemble
from jada_configd.core.specs import Policy
from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, PolicyError
from jada_configd.host.directories import Directories, directories, home_directory
from jada_configd.policy import load
from jada_configd.policy import schema as schema_of
from jada_configd.verbs.output import complain, print_json

VALID, INVALID = 0, 1


def validate(options: argparse.Namespace) -> int:
    """Load policies; print every error and warning, and one line for each that is fit for use."""
    where = directories(user=options.user, root=options.root, environ=os.environ)
    named: Sequence[str] = options.files or ([options.policy] if options.policy else [])
    status = VALID
    for path in named or [where.policy]:
        try:
            # A named file may be meant for --user; what `~/` stands for is then known here.
            home = home_directory(os.environ) if named else where.home
            policy = load(path, fragments=not named, home=home)
        except PolicyError as error:
            complain(*error.messages)
            status = INVALID
            continue
        if policy.bypasses and where.managed:
            policy = _advised(policy, where)
        complain(*policy.warnings)
        print(f"{escaped(path)}: valid, {policy.revision}")
    return status


def _advised(policy: Policy, where: Directories) -> Policy:
    """The policy with what this host has to say of it, where it can be asked."""
    try:
        return assemble(where, lambda _event: None, daemon=False, writes=False).advise(policy)
    except HostError:
        return policy


def schema(_options: argparse.Namespace) -> int:
    """Print the JSON Schema of the policy language."""
    print_json(schema_of())
    return VALID
