"""The root of every failure that a user can see.

    CamTrustError                 code, sentence, hint; Khmer and English, from the room's message catalogue
    └── one class per failure, in the `errors.py` of the room that raises it

A class names its stable ``code`` (``room.failure``), which is also its key in the catalogue, and its ``kind``,
which the edge maps once: to an HTTP status (`foundation.http.problems`) or to an exit code (`camtrust.cli`).
Parameters given to the constructor fill the sentence; they must never be personal data or secrets.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar

from foundation.catalogue import Language, hint, text


class Kind(Enum):
    """What sort of failure it is, seen from outside."""

    INVALID = "invalid"  # the input can never be accepted as it is
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"  # true when asked, no longer true now; or already done
    TOO_LARGE = "too-large"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"  # something we need is down: wait, then try again
    NOT_IMPLEMENTED = "not-implemented"
    INTERNAL = "internal"


class CamTrustError(Exception):
    """A failure with a stable code, a plain sentence and a hint on what to do next.

    ``params`` fill the catalogue's sentence and hint; ``retry_after`` is in seconds.
    """

    code: ClassVar[str] = "foundation.internal"
    kind: ClassVar[Kind] = Kind.INTERNAL

    def __init__(self, *, retry_after: float | None = None, **params: object) -> None:
        self.params = params
        self.retry_after = retry_after
        super().__init__(self.code)

    def message(self, language: Language = Language.EN) -> str:
        """One plain sentence that says what is wrong."""
        return text(self.code, language, **self.params)

    def hint(self, language: Language = Language.EN) -> str:
        """One plain sentence that says what to do next."""
        return hint(self.code, language, **self.params)

    def __str__(self) -> str:
        return f"{self.code}: {self.message()}"


class InternalError(CamTrustError):
    """Something of ours is broken; the cause is in the log under the trace id, never in the answer."""


class NotImplementedYet(CamTrustError):
    """A part that the contract names and that is not there yet: absent, not imitated."""

    code = "foundation.not_implemented"
    kind = Kind.NOT_IMPLEMENTED
