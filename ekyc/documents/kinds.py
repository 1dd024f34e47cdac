"""Which documents an enrolment takes: the Khmer identity card, and passports of foreign residents as the policy says.

Pure. A national shows the identity card: the base registry of persons knows nobody by a passport. ICAO 9303-3 §5 names
states and nationalities, 9303-4 §4.2.2 the codes of passports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ekyc.chip.countries import country_of
from ekyc.errors import DocumentNotAccepted
from ekyc.mrz import Mrz

KHMER_ID_CARD = "khmer-id-card"
PASSPORT = "passport"
# A person without a nationality, a refugee (two kinds), a person whose nationality is not known: ICAO 9303-3 §5 part E.
_WITHOUT_NATIONALITY = frozenset({"XXA", "XXB", "XXC", "XXX"})


class TravelDocument(BaseModel):
    """A kind of passport. ``codes``: what its first characters may be; ``refused_issuers``: whose are not taken;
    ``longest_years``: an expiry that is further away is no passport's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal["TD3"]
    codes: Annotated[tuple[str, ...], Field(min_length=1)]
    refused_issuers: tuple[str, ...] = ()
    longest_years: Annotated[int, Field(ge=1, le=50)]

    def fits(self, card: Mrz, today: date) -> bool:
        """Whether the lines are those of such a document, of a state that is known, for one of its nationals.

        It names the day on which it ends; whether that day is over is told elsewhere.
        """
        state, ends = country_of(card.issuer), card.date_of_expiry
        return (
            (card.layout, card.document_code in self.codes) == (self.layout, True)
            and state is not None
            and card.issuer not in self.refused_issuers
            and card.nationality not in self.refused_issuers
            and (card.nationality in _WITHOUT_NATIONALITY or country_of(card.nationality) == state)
            and ends is not None
            and ends.value is not None
            and ends.value.year - today.year <= self.longest_years
        )


def kind_of(card: Mrz, accepted: Sequence[str], travel: Mapping[str, TravelDocument], today: date) -> str:
    """The kind of a document whose lines were read. Raises DocumentNotAccepted for one that is not taken."""
    kind = KHMER_ID_CARD if card.is_khmer_id_card else _travel_kind(card, travel, today)
    if kind is None or kind not in accepted:
        raise DocumentNotAccepted
    return kind


def index_parts(kind: str, issuer: str, number: str) -> tuple[bytes, ...]:
    """What names a document in a keyed index. An identity card's number stands alone: nobody else issues any."""
    return (number.encode(),) if kind == KHMER_ID_CARD else (kind.encode(), issuer.encode(), number.encode())


def namesake_parts(surname: str, given_names: str, born: date) -> tuple[bytes, ...]:
    """What two documents of one person have in common: the Latin name in whatever order, and the birth."""
    words = sorted(f"{surname} {given_names}".upper().replace("-", " ").split())
    return "".join(words).encode(), born.isoformat().encode()


def _travel_kind(card: Mrz, travel: Mapping[str, TravelDocument], today: date) -> str | None:
    return next((name for name, kind in travel.items() if kind.fits(card, today)), None)
