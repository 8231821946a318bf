"""Has the host looked at: questions to children with a time limit, and their answers together.

Nothing that hangs keeps an answer to anything else back. What is asked stands in `questions.py`;
what to think of it is the checks' business.
"""

import time
from typing import Final

from jada_configd.core.survey import Unknown
from jada_configd.diagnosis.answers import Around, Asked, Survey
from jada_configd.diagnosis.places import Place
from jada_configd.diagnosis.questions import (
    around_of,
    files_of,
    managed_of,
    own_places,
    policy_of,
    watches_of,
)
from jada_configd.host.survey.patience import Question
from jada_configd.host.survey.place_looks import mounts
from jada_configd.host.survey.surroundings import pam_look

SECONDS: Final = 4.0  # for each of two rounds of questions; the answers are there in a tenth of it
LOADING_SECONDS: Final = 10.0  # more: from a cold disk, importing what validates is most of it


def survey(asked: Asked) -> Survey:
    """Look at everything; takes a few tenths of a second, and some more where something hangs."""
    until = time.monotonic() + SECONDS
    loading = Question("the policy", lambda at: policy_of(asked, at))
    looking = None if asked.image else Question("the host", lambda at: around_of(asked, at))
    pam = Question("PAM", lambda _: pam_look(asked.where.root))
    policy = loading.take(time.monotonic() + LOADING_SECONDS)
    around = looking.take(until) if looking is not None else None
    declared = None if isinstance(policy, Unknown) else policy.policy
    daemon = around.daemon if isinstance(around, Around) else None
    version = around.version if isinstance(around, Around) else None

    until = time.monotonic() + SECONDS
    table = mounts()
    pid = daemon.pid if daemon is not None else 0
    managing = (
        None
        if asked.image
        else Question("the service manager", lambda at: managed_of(asked, declared, version, at))
    )
    writing = Question("the directories", lambda at: own_places(asked, declared, table, pid, at))
    reading = Question("the settings files", lambda at: files_of(asked, declared, table, pid, at))
    counting = Question("the watches", lambda at: watches_of(asked, declared, at))
    places, files = writing.take(until), reading.take(until)
    return Survey(
        asked,
        policy,
        around,
        managing.take(until) if managing is not None else None,
        (Place("", places),) if isinstance(places, Unknown) else places,
        files if isinstance(files, Unknown) else files[0],
        () if isinstance(files, Unknown) else files[1],
        counting.take(until),
        pam.take(until),
    )
