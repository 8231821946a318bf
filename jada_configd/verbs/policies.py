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
            policy = _named(path, where) if named else load(path, fragments=True, home=where.home)
        except PolicyError as error:
            complain(*error.messages)
            status = INVALID
            continue
        if policy.bypasses and where.managed:
            policy = _advised(policy, where)
        complain(*policy.warnings)
        print(f"{escaped(path)}: valid, {policy.revision}")
    return status


def _named(path: str, where: Directories) -> Policy:
    """A file on its own: the host's policy, or else one that is meant for --user.

    Where it is neither, what is told is what keeps it from being the one that it is nearer to.
    """
    try:
        return load(path, fragments=False, home=where.home)
    except PolicyError as error:
        if where.user:
            raise
        told = error
    try:
        return load(path, fragments=False, home=home_directory(os.environ))
    except PolicyError as error:
        raise told if len(told.messages) <= len(error.messages) else error from None


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
