"""``camtrust.toml``: one file, every key documented where it is declared, unknown keys refused.

Any value can be overridden as ``CAMTRUST_SECTION__KEY``. With no file at all, everything runs embedded: SQLite, the
emulated HSM as a child process, blobs in a folder, notices in an outbox, a simulated base registry.
"""

from __future__ import annotations

import tomllib
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from camtrust.errors import SettingsInvalid
from ekyc.config import EkycSettings, FaceSettings, SmsSettings, SmtpSettings
from foundation.arc import checked_arc
from foundation.signed_note import NoteInvalid
from issuing_ca.witness_request import WitnessAddress

SIMULATED = "KH-SPECIMEN"
"""The X-Road instance of the simulated registry."""

_FOUR, _FIVE = r"^[^/\s]+(/[^/\s]+){3}$", r"^[^/\s]+(/[^/\s]+){4}$"


class Section(BaseModel):
    """A section: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(Section):
    """Where the services keep their state."""

    url: Annotated[
        str | None,
        Field(description="SQLAlchemy URL; default: HOME/camtrust.sqlite", examples=["postgresql+psycopg://"]),
    ] = None


class KeySettings(Section):
    """Where the private keys are."""

    uri: Annotated[
        str,
        Field(
            description="services' keys: 'emulated:', or an RFC 7512 'pkcs11:…' URI; persons' keys are always emulated"
        ),
    ] = "emulated:"
    pin_file: Annotated[
        Path | None, Field(description="file with the PIN of keys.uri; default: HOME/hsm/user.pin (embedded only)")
    ] = None


class BlobSettings(Section):
    """Where documents and published files are."""

    url: Annotated[
        str | None, Field(description="a folder ('s3://…' is refused until it is built); default: HOME/blobs")
    ] = None


class NotifySettings(Section):
    """How people are told things."""

    smtp: Annotated[
        SmtpSettings | None,
        Field(
            description="`smtps://user@host?…` (`smtp://`: STARTTLS) or a table; default: e-mail stays in the outbox"
        ),
    ] = None
    sms: Annotated[
        SmsSettings | None,
        Field(description="address of an HTTP gateway, or a table; default: text messages stay in the outbox"),
    ] = None
    tries: Annotated[int, Field(ge=1, le=20, description="how often a notice is tried before it is given up")] = 10


class PolicySettings(Section):
    """The numbers of policies."""

    arc: Annotated[
        str | None,
        Field(description="the operator's own arc, below which all policies stand; none: `2.999.116`, of examples"),
    ] = None

    @field_validator("arc")
    @classmethod
    def _is_arc(cls, value: str | None) -> str | None:
        return None if value is None else checked_arc(value)


class EkycSection(EkycSettings, Section):
    """Enrolment: what the room itself can be told, and the models that it is given."""

    faces: Annotated[
        FaceSettings | None,
        Field(description="a table: models that compare portraits; default: none, an officer compares them"),
    ] = None


class RegistrySettings(Section):
    """The base registry of persons. Identifiers are X-Road's: ``instance/class/member/subsystem[/service]``."""

    url: Annotated[str | None, Field(description="X-Road REST address; default: the simulated registry")] = None
    client: Annotated[
        str, Field(pattern=_FOUR, description="who asks it, as `instance/class/member/subsystem` (X-Road-Client)")
    ] = f"{SIMULATED}/GOV/CAMTRUST/EKYC"
    service: Annotated[str, Field(pattern=_FIVE, description="the service that is asked about persons")] = (
        f"{SIMULATED}/GOV/REGISTRY/PERSONS/match"
    )
    residents_service: Annotated[
        str, Field(pattern=_FIVE, description="the service that is asked about foreign residents")
    ] = f"{SIMULATED}/GOV/IMMIGRATION/RESIDENTS/match"
    relations_service: Annotated[str, Field(pattern=_FIVE, description="the service that is asked about guardians")] = (
        f"{SIMULATED}/GOV/REGISTRY/PERSONS/relation"
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=60, description="how long we wait for an answer")] = 5.0


class CaSettings(Section):
    """The issuing CA."""

    algorithm: Annotated[Literal["ec-p256", "ec-p384"], Field(description="key of the issuing and timestamping CA")] = (
        "ec-p384"
    )
    citizens: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$", description="the issuing CA of persons' certificates")
    ] = "issuing"
    crl_days: Annotated[int, Field(ge=1, le=30, description="validity of a CRL, in days")] = 7
    crl_partitions: Annotated[
        Literal[0, 16, 256],
        Field(description="CRLs that new certificates are spread over; 0: they point to the full one"),
    ] = 0
    time_source: Annotated[
        Literal["kernel", "assumed"] | None,
        Field(description="who vouches for the clock: 'kernel', or 'assumed' (for specimens)"),
    ] = None
    ocsp_minutes: Annotated[int, Field(ge=5, le=1440, description="validity of an OCSP response, in minutes")] = 60
    two_officers: Annotated[
        tuple[str, ...],
        Field(
            description="profiles that two officers must approve, neither of whom asked: CMP and EST wait, ACME has "
            "none; 'bulk-revocation': revoking by a query takes two officers too"
        ),
    ] = ()
    weak_keys_file: Annotated[
        Path | None,
        Field(
            description="file with keys that are certified for nobody: SHA-256 of a SubjectPublicKeyInfo, or an entry "
            "of Debian's blacklists, a line; read at start; none: no list"
        ),
    ] = None
    lint_a_minute: Annotated[
        int, Field(ge=0, le=6000, description="certificates that pkilint looks at each minute, after they were issued")
    ] = 100
    registration_authority: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...],
        Field(
            description="SHA-256 of each public key (SubjectPublicKeyInfo) whose statements approve citizens' "
            "certificates; none: the one in HOME/registration-authority.txt, written when the key is made"
        ),
    ] = ()
    acme_networks: Annotated[
        tuple[IPv4Network | IPv6Network, ...],
        Field(description='networks beside the public ones where ACME\'s http-01 may look, as `["10.1.0.0/16"]`'),
    ] = ()
    acme_resolvers: Annotated[
        tuple[str, ...], Field(description="addresses of the DNS servers that ACME asks; none: those of the machine")
    ] = ()
    proxy_secret_file: Annotated[
        Path | None,
        Field(description="file with the secret by which a TLS proxy is believed about client certificates; none: no"),
    ] = None


class LogSettings(Section):
    """The issuance log."""

    witnesses: Annotated[
        tuple[str, ...],
        Field(description='who cosigns it, each as `"VERIFIER-KEY URL"` (C2SP tlog-witness); none: nobody is asked'),
    ] = ()
    quorum: Annotated[
        int, Field(ge=0, le=16, description="how many of them verifiers must find, by the trust bundle")
    ] = 0

    @field_validator("witnesses")
    @classmethod
    def _are_witnesses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            try:
                WitnessAddress.parse(one)
            except NoteInvalid:
                raise ValueError("not a verifier key of type cosignature/v1 with an http(s) address") from None
        return value


class WebhookSettings(Section):
    """Messages to agencies' systems."""

    networks: Annotated[
        tuple[IPv4Network | IPv6Network, ...],
        Field(description='networks beside the public ones where messages may go, as `["10.2.0.0/16"]`'),
    ] = ()


class AgencySettings(Section):
    """Organisations that seal."""

    officers: Annotated[Literal[1, 2], Field(description="how many officers approve an organisation")] = 1
    credential_officers: Annotated[
        Literal[0, 1, 2],
        Field(description="how many officers approve each seal credential in production; 0: it is made at once"),
    ] = 0
    renewal_days: Annotated[
        int, Field(ge=1, le=365, description="how long before its end a seal credential gets its successor, in days")
    ] = 30


class BackupSettings(Section):
    """Copies of database and token."""

    days: Annotated[
        int | None,
        Field(
            ge=1,
            le=365,
            description="how old the newest copies may be before `doctor` tells; default: 1, and never for a specimen",
        ),
    ] = None


class TrustSettings(Section):
    """The trust bundle and the trust list."""

    bundle_days: Annotated[int, Field(ge=1, le=90, description="how long a verifier may rely on a bundle, in days")] = 7
    contact: Annotated[
        str, Field(pattern=r"^[!-?A-~]+@[!-?A-~]+$", description="e-mail address of the trust-list operator")
    ] = "trust@example.invalid"


class VerifySettings(Section):
    """Documents that anybody may send to be verified (`/verify`, `/verify/v1`). Each is judged in its own process."""

    seconds: Annotated[
        float, Field(gt=0, le=600, description="how long one document may take; beyond it is INDETERMINATE")
    ] = 30.0
    memory_mebibytes: Annotated[
        int, Field(ge=128, le=16384, description="memory (address space) that judging one document may take, in MiB")
    ] = 1024
    at_once: Annotated[
        int, Field(ge=1, le=64, description="documents judged at a time in a server process; others are told to wait")
    ] = 4


class Settings(BaseSettings):
    """All settings, frozen."""

    model_config = SettingsConfigDict(
        env_prefix="CAMTRUST_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    public_url: Annotated[str, Field(description="origin of the services, as written into certificates")] = (
        "http://127.0.0.1:8440"
    )
    specimen: Annotated[bool, Field(description="everything made says SPECIMEN; false: everything is real")] = True
    upload_mebibytes: Annotated[int, Field(ge=1, le=1024, description="largest document accepted, in MiB")] = 50
    workers: Annotated[
        int, Field(ge=1, le=64, description="server processes of `camtrust serve` on its one port; one a core")
    ] = 1
    database: DatabaseSettings = DatabaseSettings()
    keys: KeySettings = KeySettings()
    blobs: BlobSettings = BlobSettings()
    notify: NotifySettings = NotifySettings()
    policies: PolicySettings = PolicySettings()
    ekyc: EkycSection = EkycSection()
    registry: RegistrySettings = RegistrySettings()
    ca: CaSettings = CaSettings()
    log: LogSettings = LogSettings()
    trust: TrustSettings = TrustSettings()
    backup: BackupSettings = BackupSettings()
    webhooks: WebhookSettings = WebhookSettings()
    agencies: AgencySettings = AgencySettings()
    verify: VerifySettings = VerifySettings()

    @classmethod
    def settings_customise_sources(  # environment over file over defaults
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load_settings(file: Path | None) -> Settings:
    """Settings from a TOML file (None: defaults) and the environment. Raises SettingsInvalid, naming the key."""
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsInvalid(file=str(file), key="-", problem=str(error)) from error
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise SettingsInvalid(file=str(file or "-"), key=key, problem=first["msg"]) from None


def reference() -> str:
    """Every key as a Markdown table, for docs/operations.md (a test holds the page to it)."""
    rows = ["| key | default | what |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, Section):
            rows += _of_section(name, field.default)
        else:
            rows.append(f"| `{name}` | `{_shown(field.default)}` | {field.description} |")
    return "\n".join(rows) + "\n"


def _of_section(name: str, section: BaseModel) -> list[str]:
    """The keys of a section, and of the sections inside it."""
    rows = []
    for key, inner in type(section).model_fields.items():
        if isinstance(inner.default, BaseModel):
            rows += _of_section(f"{name}.{key}", inner.default)
            continue
        rows.append(f"| `{name}.{key}` | `{_shown(inner.default)}` | {inner.description} |")
        rows += _of_table(f"{name}.{key}", inner)
    return rows


def _of_table(name: str, field: FieldInfo) -> list[str]:
    """The keys of a setting that can be a table, which stands for something only when it is there."""
    tables = [one for one in get_args(field.annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
    return [
        f"| `{name}.{key}` | `{_shown_in_table(inner)}` | {inner.description} |"
        for table in tables
        for key, inner in table.model_fields.items()
    ]


def _shown_in_table(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "none" if field.default is None else _shown(field.default)


def _shown(value: object) -> str:
    if value == ():
        return "[]"
    return "embedded" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
