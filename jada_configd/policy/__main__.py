"""The validating child: a request on standard input, the plain policy or the errors on its output.

It bounds itself before it imports anything large: what it is given may be made to be expensive.
"""

import json
import os
import resource
import sys
from typing import Final

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
    # Made beforehand: while such an error is handled, what used up the memory is still held.
    exhausted = json.dumps({"exhausted": MEMORY >> 20}).encode("ascii")
    try:
        answer = json.dumps(_answer()).encode("ascii")
    except (MemoryError, SystemError):  # some parts of C say the second where they lack memory
        answer = exhausted
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    os._exit(0)


def _answer() -> dict[str, object]:
    request = json.load(sys.stdin.buffer)
    try:
        from jada_configd.policy.validation import validate

        return {"policy": validate(request["texts"], request["home"])}
    except PolicyError as error:
        return {"errors": error.messages}


def _lower(bound: int, most: int) -> None:
    _, hard = resource.getrlimit(bound)
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(bound, (least, least))


if __name__ == "__main__":
    main()
