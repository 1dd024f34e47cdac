"""What a ceremony refuses.

RootError
├── CeremonyInvalid      the file is not a ceremony: TOML, keys or values are wrong
├── CeremonyRefused      checks failed; ``results`` holds each
├── ConfirmationWrong    the words typed are not those of this ceremony
├── OutputExists         an output is there already; nothing is overwritten
├── CosigningRefused     a key that cannot sign this transcript
└── TranscriptInvalid    a file that is not a transcript
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from foundation.errors import CamTrustError, Kind

if TYPE_CHECKING:
    from root_ca.model import CheckResult


class RootError(CamTrustError):
    """Anything that the offline root refuses."""

    code = "root_ca.failed"


class CeremonyInvalid(RootError):
    code = "root_ca.ceremony_invalid"
    kind = Kind.INVALID


class CeremonyRefused(RootError):
    """``results`` holds every check; the sentence names those that failed."""

    code = "root_ca.ceremony_refused"
    kind = Kind.CONFLICT

    def __init__(self, results: Sequence[CheckResult]) -> None:
        self.results = tuple(results)
        failed = [result for result in results if result.passed is False]
        super().__init__(rules="; ".join(f"{result.rule}: {result.detail}" for result in failed))


class ConfirmationWrong(RootError):
    code = "root_ca.confirmation_wrong"
    kind = Kind.FORBIDDEN


class OutputExists(RootError):
    code = "root_ca.output_exists"
    kind = Kind.CONFLICT


class TranscriptInvalid(RootError):
    code = "root_ca.transcript_invalid"
    kind = Kind.INVALID


class CosigningRefused(RootError):
    code = "root_ca.cosigning_refused"
    kind = Kind.FORBIDDEN
