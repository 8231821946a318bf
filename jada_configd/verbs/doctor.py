"""`doctor`: what would keep the program from working here, and what to type against it."""

import argparse
import os

from jada_configd import __version__
from jada_configd.diagnosis.answers import Asked
from jada_configd.diagnosis.examination import examine
from jada_configd.diagnosis.findings import worst
from jada_configd.diagnosis.survey import survey
from jada_configd.diagnosis.text import plain, text
from jada_configd.host.directories import directories
from jada_configd.verbs.output import painter, print_json

WELL, FOUND = 0, 1


def doctor(options: argparse.Namespace) -> int:
    """Look at the host, and say what is wrong; nothing is changed, and nothing can be."""
    where = directories(user=options.user, root=options.root, environ=os.environ)
    asked = Asked(where, os.geteuid(), options.policy)
    found = survey(asked)
    findings = examine(found)
    status = FOUND if worst(findings) == "problem" else WELL
    if options.json:
        policy = found.declared
        print_json(
            {
                "state": "findings" if status == FOUND else "ok",
                "version": __version__,
                "policy": {
                    "path": options.policy or where.policy,
                    "revision": policy.revision if policy is not None else None,
                },
                "findings": plain(findings),
            }
        )
    else:
        print(text(findings, painter()), end="")
    return status
