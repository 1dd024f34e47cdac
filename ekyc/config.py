"""Settings of enrolment: frozen, unknown keys refused."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from string import Template
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

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
    contact_persons: Annotated[
        int,
        Field(ge=1, le=50, description="how many persons may have one phone or address that they share"),
    ] = 5
    registry_tries: Annotated[int, Field(ge=1, le=10, description="answers without a match before it is refused")] = 3
    registry_retry_seconds: Annotated[int, Field(ge=1, le=3600, description="when to ask a silent registry again")] = 30
    no_match_wait_seconds: Annotated[int, Field(ge=0, le=3600, description="wait after an answer without a match")] = 60
    evidence_tries: Annotated[
        int, Field(ge=1, le=100, description="how often an enrolment may add evidence of one kind")
    ] = 20
    challenge_seconds: Annotated[
        int, Field(ge=30, le=3600, description="how long a challenge to a chip or a person is good")
    ] = 300
    packet_days: Annotated[
        int, Field(ge=1, le=60, description="how long after it was closed a station's packet is taken over")
    ] = 7
    terms: Annotated[
        Path | None,
        Field(description="file with consent and subscriber agreement, as ekyc/terms.toml; none: those of specimens"),
    ] = None
    letter_program: Annotated[str, Field(description="program that reads letters in images")] = "tesseract"
    images: ImageLimits = ImageLimits()
    review_hours: Annotated[int, Field(ge=1, le=720, description="within which a case is to be reviewed")] = 48
    review_turn_hours: Annotated[int, Field(ge=1, le=168, description="then another officer is drawn")] = 8
    key_algorithm: Annotated[KeyAlgorithm, Field(description="algorithm of citizens' signing keys")] = (
        KeyAlgorithm.EC_P256
    )


class FaceSettings(_Section):
    """The models by which portraits are compared (the extra ``faces``). Without them an officer's eyes alone decide."""

    detector: Annotated[Path, Field(description="ONNX file that finds faces (YuNet)")]
    detector_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of that file")]
    recogniser: Annotated[Path, Field(description="ONNX file that compares faces (SFace)")]
    recogniser_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of that file")]
    license: Annotated[
        str, Field(min_length=1, max_length=200, description="under which licence the models are used, for the record")
    ]


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
    relations_service: Annotated[
        str, Field(pattern=r"^[^/]+(/[^/]+){4}$", description="what is asked about guardians")
    ] = "KH-SPECIMEN/GOV/REGISTRY/PERSONS/relation"
    timeout_seconds: Annotated[float, Field(gt=0, le=60, description="how long we wait for an answer")] = 5.0


_SCHEMES = {"smtps": "implicit", "smtp": "starttls"}


class SmtpSettings(_Section):
    """The server that e-mail is given to: a table, or an address such as
    ``smtps://user@host?sender=notices@example.org&password_file=/etc/camtrust/smtp`` (``smtp://``: STARTTLS).
    """

    host: Annotated[str, Field(min_length=1, max_length=253, description="the mail server")]
    port: Annotated[int | None, Field(ge=1, le=65535, description="its port; default: 465, or 587 with STARTTLS")] = (
        None
    )
    tls: Annotated[
        Literal["implicit", "starttls", "none"],
        Field(description="'implicit', 'starttls' (then required), or 'none', on this machine alone"),
    ] = "implicit"
    user: Annotated[str | None, Field(max_length=254, description="whom we log in as; none: no login")] = None
    password_file: Annotated[Path | None, Field(description="file with the password")] = None
    ca_file: Annotated[Path | None, Field(description="PEM of the CAs that are believed; none: the machine's")] = None
    sender: Annotated[
        str, Field(pattern=r"^[!-?A-~]+@[A-Za-z0-9.-]+$", max_length=254, description="address that messages are from")
    ]
    timeout_seconds: Annotated[float, Field(gt=0, le=60, description="how long we wait for the server")] = 10.0

    @model_validator(mode="before")
    @classmethod
    def _address(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        parts = urlsplit(value)
        if parts.scheme not in _SCHEMES or parts.password is not None or parts.path not in ("", "/") or parts.fragment:
            raise ValueError("not smtps://user@host or smtp://user@host (a password stands in a file)")
        given: dict[str, Any] = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        user = unquote(parts.username) if parts.username else None
        found = {"host": parts.hostname or "", "port": parts.port, "tls": _SCHEMES[parts.scheme], "user": user}
        sender = user if user and "@" in user else f"no-reply@{parts.hostname}"
        return {**found, "sender": sender, **given}

    @model_validator(mode="after")
    def _in_clear_on_loopback_alone(self) -> Self:
        if self.tls == "none" and not on_loopback(self.host):
            raise ValueError("without TLS only on loopback")
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file go together")
        return self

    @property
    def port_or_default(self) -> int:
        """The port of RFC 8314 §3.3 and RFC 6409 §3.1 where none is named."""
        return self.port or (465 if self.tls == "implicit" else 587)


class SmsSettings(_Section):
    """The HTTP gateway that text messages are given to: a table, or its address alone."""

    url: Annotated[str, Field(pattern=r"^https?://[^?#]+$", description="where a message is POSTed to")]
    token_file: Annotated[Path | None, Field(description="file with the bearer token; none: no token")] = None
    body: Annotated[
        str,
        Field(description="JSON that is sent, in whose strings `$to`, `$text`, `$id`, `$language` are filled in"),
    ] = '{"to": "$to", "text": "$text", "id": "$id"}'
    timeout_seconds: Annotated[float, Field(gt=0, le=60, description="how long we wait for the gateway")] = 10.0

    @model_validator(mode="before")
    @classmethod
    def _address(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @field_validator("url")
    @classmethod
    def _in_clear_on_loopback_alone(cls, value: str) -> str:
        if not value.startswith("https://") and not on_loopback(urlsplit(value).hostname or ""):
            raise ValueError("https, but for loopback")
        return value

    @field_validator("body")
    @classmethod
    def _is_a_template(cls, value: str) -> str:
        try:
            template = json.loads(value)
        except ValueError:
            raise ValueError("not JSON") from None
        names = Template(value)
        if not isinstance(template, dict) or not names.is_valid() or not {"to", "text"} <= set(names.get_identifiers()):
            raise ValueError("not a JSON object with $to and $text in it")
        if set(names.get_identifiers()) - {"to", "text", "id", "language"}:
            raise ValueError("only $to, $text, $id and $language can be filled in")
        return value


def on_loopback(host: str) -> bool:
    """Whether a host of a setting is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
