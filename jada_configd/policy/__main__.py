"""The validating child: a request on standard input, the plain policy or the errors on its output.

It bounds itself before it imports anything large: what it is given may be made to be expensive.
"""

import json
import os
import resource
import sys
from typing import Final

from jada_configd.core.wording import escaped
from jada_configd.errors import PolicyError

MEMORY: Final = 1 << 30  # bytes of address space; a policy of 4 MiB needs some 300 MiB of it
PROCESSOR: Final = 30  # seconds
OUTPUT: Final = 64 << 20  # bytes that any file it writes may have

_FIRST_OF_OTHERS: Final = 3  # a descriptor that somebody forgot to mark close-on-exec


def main() -> None:
    """Answer one request and end, without taking the interpreter down piece by piece."""
    os.closerange(_FIRST_OF_OTHERS, 1 << 16)
    os.chdir("/")
    for bound, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, PROCESSOR),
        (resource.RLIMIT_FSIZE, OUTPUT),
        (resource.RLIMIT_CORE, 0),
    ):
        _lower(bound, most)
    sys.stdout.buffer.write(json.dumps(_answer()).encode("ascii"))
    sys.stdout.buffer.flush()
    os._exit(0)


def _answer() -> dict[str, object]:
    request = json.load(sys.stdin.buffer)
    try:
        from jada_configd.policy.validation import validate

        return {"policy": validate(request["texts"], request["home"])}
    except PolicyError as error:
        return {"errors": error.messages}
    except MemoryError:
        path = escaped(request["path"])
        return {"errors": [f"{path}: its validation needs more than {MEMORY >> 20} MiB of memory"]}


def _lower(bound: int, most: int) -> None:
    _, hard = resource.getrlimit(bound)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(bound, (least, least))


if __name__ == "__main__":
    main()
