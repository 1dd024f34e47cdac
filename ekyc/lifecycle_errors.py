"""What is refused of an enrolment after its decision.

EkycError
└── lifecycle  ReinstatementImpossible, ReinstatementSameOfficer, RenewalTooEarly, RenewalNeedsProofing
"""

from __future__ import annotations

from ekyc.errors import EkycError
from foundation.catalogue import Language, hint, text
from foundation.errors import Kind


class ReinstatementImpossible(EkycError):
    """There is no way back from what it was suspended for, or not yet. ``reason``: a key of the catalogue."""

    code = "ekyc.reinstatement_impossible"
    kind = Kind.CONFLICT

    def message(self, language: Language = Language.EN) -> str:
        return text(self.code, language, **self._named(language))

    def hint(self, language: Language = Language.EN) -> str:
        return hint(self.code, language, **self._named(language))

    def _named(self, language: Language) -> dict[str, str]:
        reason = str(self.params["reason"])
        return {"reason": text(f"ekyc.{reason}", language) if reason.startswith("reason_") else reason}


class ReinstatementSameOfficer(EkycError):
    """One officer alone brings nobody back."""

    code = "ekyc.reinstatement_same_officer"
    kind = Kind.FORBIDDEN


class RenewalTooEarly(EkycError):
    """The certificate does not end soon. ``date``: from when it can be renewed."""

    code = "ekyc.renewal_too_early"
    kind = Kind.CONFLICT


class RenewalNeedsProofing(EkycError):
    """The evidence is too old, or does not stand as it did: an officer must see the person again."""

    code = "ekyc.renewal_needs_proofing"
    kind = Kind.CONFLICT
