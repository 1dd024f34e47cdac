"""Settings of enrolment: frozen, unknown keys refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ekyc.imaging.limits import ImageLimits
from foundation.keys.port import KeyAlgorithm


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EkycSettings(_Section):
    """How enrolment behaves; times in the unit that the key names."""

    enrolment_days: Annotated[int, Field(ge=1, le=90, description="an enrolment that is not finished ends then")] = 30
    otp_minutes: Annotated[int, Field(ge=1, le=30, description="how long a contact code is good")] = 10
    otp_tries: Annotated[int, Field(ge=1, le=10, description="wrong tries before a code is dead")] = 5
    resend_seconds: Annotated[int, Field(ge=0, le=600, description="wait between two codes")] = 60
    sends_per_hour: Annotated[int, Field(ge=1, le=20, description="codes per enrolment, and per address")] = 5
    registry_tries: Annotated[int, Field(ge=1, le=10, description="answers without a match before it is refused")] = 3
    registry_retry_seconds: Annotated[int, Field(ge=1, le=3600, description="when to ask a silent registry again")] = 30
    no_match_wait_seconds: Annotated[int, Field(ge=0, le=3600, description="wait after an answer without a match")] = 60
    evidence_tries: Annotated[
        int, Field(ge=1, le=100, description="how often an enrolment may add evidence of one kind")
    ] = 20
    challenge_seconds: Annotated[
        int, Field(ge=30, le=3600, description="how long a challenge to a chip or a person is good")
    ] = 300
    letter_program: Annotated[str, Field(description="program that reads letters in images")] = "tesseract"
    images: ImageLimits = ImageLimits()
    review_hours: Annotated[int, Field(ge=1, le=720, description="within which a case is to be reviewed")] = 48
    review_turn_hours: Annotated[int, Field(ge=1, le=168, description="then another officer is drawn")] = 8
    key_algorithm: Annotated[KeyAlgorithm, Field(description="algorithm of citizens' signing keys")] = (
        KeyAlgorithm.EC_P256
    )


class RegistryHttpSettings(_Section):
    """The base registry over X-Road REST. Identifiers are ``instance/class/member/subsystem[/service]``."""

    url: Annotated[str, Field(pattern=r"^https?://", description="our security server")]
    client: Annotated[str, Field(pattern=r"^[^/]+(/[^/]+){3}$", description="who asks (X-Road-Client)")] = (
        "KH-SPECIMEN/GOV/CAMTRUST/EKYC"
    )
    service: Annotated[str, Field(pattern=r"^[^/]+(/[^/]+){4}$", description="what is asked")] = (
        "KH-SPECIMEN/GOV/REGISTRY/PERSONS/match"
    )
    residents_service: Annotated[
        str, Field(pattern=r"^[^/]+(/[^/]+){4}$", description="what is asked about foreign residents")
    ] = "KH-SPECIMEN/GOV/IMMIGRATION/RESIDENTS/match"
    timeout_seconds: Annotated[float, Field(gt=0, le=60, description="how long we wait for an answer")] = 5.0
