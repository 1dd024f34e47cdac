"""Settings of the identity room."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field


class SessionSettings(BaseModel):
    """How long a person's session lives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lifetime: timedelta = Field(default=timedelta(hours=12), gt=timedelta(0), le=timedelta(days=1))
    """From opening to the end, whatever happens in between (NIST SP 800-63B-4 §5.2 asks for one)."""

    idle: timedelta = Field(default=timedelta(minutes=30), gt=timedelta(0), le=timedelta(hours=1))
    """Without a request for this long, the session ends."""
