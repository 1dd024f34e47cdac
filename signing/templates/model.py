"""A template of an organisation's, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from signing.templates.appearance import Appearance


class TemplateState(StrEnum):
    """
    PROPOSED ──approved──▶ APPROVED ──▶ WITHDRAWN      (by its organisation, an officer, or the next of its name)
       ├──refused──▶ REFUSED
       └──taken back──▶ WITHDRAWN
    """

    PROPOSED = "proposed"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Template:
    """``digest``: what was proposed, as `Appearance.digest` tells it; ``decided_by``: who approved, refused or
    withdrew it last."""

    template_id: str
    agency_id: str
    name: str
    appearance: Appearance = field(repr=False)
    digest: str
    state: TemplateState
    version: int
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None

    @property
    def sound(self) -> bool:
        """Whether it still is what was proposed."""
        return self.appearance.digest(self.name) == self.digest
