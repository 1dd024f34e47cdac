"""`check`: every rule that files alone can answer. Runs anywhere, needs no key, writes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

from cryptography import x509

from foundation.errors import CamTrustError
from foundation.keys.port import KeyAlgorithm
from foundation.words import khmer_words, words
from foundation.x509.algorithms import throwaway_key
from foundation.x509.certificate import throwaway_sign
from foundation.x509.csr import read_csr
from foundation.x509.errors import ProfileMismatch, X509Error
from foundation.x509.lint import lint_certificate
from foundation.x509.names import same_name, subject_name
from foundation.x509.pem import read_certificate
from foundation.x509.profile import Profile
from root_ca.acts import BELOW, NEW_ROOT, Ceremony, RootAct, confirmation
from root_ca.building import LINK_PROFILE, PROFILES_OF_ACT, STATEMENT_PROFILE, profiles, wanted_urls
from root_ca.errors import CeremonyRefused
from root_ca.history import RootState, broken_rules, issuer_of
from root_ca.model import CertificatePart, CheckResult, LinkPart, StatementPart
from root_ca.outputs import existing
from root_ca.rules import CHECKS
from root_ca.structures import Facts, Structure, ToSign, plan, profiles_used, run
from root_ca.verification import Verification, verify

Value = TypeVar("Value")

_SOME_SERIAL = 1 << 126 | 1  # the real one is drawn when the act is performed

_FILES = ("ROOT-PATHS", "ROOT-OUTPUT-ABSENT", "ROOT-UNFINISHED")
_CONTINUED = ("ROOT-CHAIN", "ROOT-ISSUER", "ROOT-ENDED", "ROOT-ARC")
_BELOW = (
    *_FILES, "ROOT-INPUT", "ROOT-PROFILE", "ROOT-URLS", *_CONTINUED, "ROOT-CSR", "ROOT-KEY-DISTINCT",
    "ROOT-NAME-DISTINCT", "ROOT-VALIDITY", "ROOT-LINT",
)  # fmt: skip
_CRL = (
    *_FILES, "ROOT-INPUT", "ROOT-PROFILE", *_CONTINUED, "ROOT-CRL-NUMBER", "ROOT-CRL-PERIOD", "ROOT-CRL-REVOKED",
)  # fmt: skip
_NEW = (*_FILES, "ROOT-INPUT", "ROOT-PROFILE", *_CONTINUED)

RULES_OF_ACT = {
    "root": (*_FILES, "ROOT-PROFILE", "ROOT-ARC", "ROOT-VALIDITY", "ROOT-LINT"),
    "twin-root": (*_NEW, "ROOT-TWIN", "ROOT-VALIDITY", "ROOT-LINT"),
    "rollover": (*_NEW, "ROOT-ROLLOVER", "ROOT-LINK", "ROOT-VALIDITY", "ROOT-LINT"),
    "subordinate": _BELOW,
    "ocsp-responder": _BELOW,
    "cross-certificate": (*_BELOW, "ROOT-CROSS"),
    "licensed-ca": (*_BELOW, "ROOT-LICENCE"),
    "root-crl": _CRL,
    "emergency-crl": (*_CRL, "ROOT-INCIDENT"),
    "end-of-ca": (*_CRL, "ROOT-END"),
    "destroy": (*_FILES, "ROOT-INPUT", "ROOT-PROFILE", *_CONTINUED, "ROOT-DESTROY"),
}


def held(value: Value | None, rule: str) -> Value:
    """A value that a passed rule guarantees; CeremonyRefused when it is missing all the same."""
    if value is None:
        raise CeremonyRefused([CheckResult(rule, False, "not examined")])
    return value


@dataclass
class Examined:
    """What a check read on its way: enough to perform the act on exactly these octets."""

    ceremony: Ceremony
    results: list[CheckResult] = field(default_factory=list)
    inputs: dict[str, bytes] = field(default_factory=dict)
    history: Verification | None = None
    state: RootState | None = None

    @property
    def issuer(self) -> x509.Certificate | None:
        """The certificate of the root that issues; None for the first act."""
        return self.state.certificate if self.state else None

    @property
    def profiles(self) -> dict[str, Profile]:
        """The profiles that the act names, their policies below the arc of its file."""
        return {
            part.profile: profiles(self.ceremony.act.arc)[part.profile] for part in profiles_used(self.ceremony.act)
        }

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.results)

    @property
    def input_digests(self) -> dict[str, str]:
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.inputs.items()}

    @property
    def previous_sha256(self) -> str | None:
        return self.history.acts[-1].sha256 if self.history and self.history.acts else None

    @property
    def words(self) -> tuple[str, ...]:
        """The words that officers type for exactly this file, these inputs and this past."""
        return words(confirmation(self.ceremony, self.input_digests, self.previous_sha256))

    @property
    def words_km(self) -> tuple[str, ...]:
        """The same in Khmer; either will do."""
        return khmer_words(confirmation(self.ceremony, self.input_digests, self.previous_sha256))


def examine(ceremony: Ceremony) -> Examined:
    """Examine every rule of the act; failures are results, never exceptions."""
    examined = Examined(ceremony)
    failed: dict[str, str] = {}
    wanted = RULES_OF_ACT[ceremony.act.act]
    complete = True
    for step in (_paths, _inputs, _profile, _history, _issuer, _request, _act_rules):
        before = len(failed)
        for rule, detail in step(examined):
            failed.setdefault(rule, detail)
        if len(failed) > before and step in (_paths, _inputs, _profile, _history, _issuer, _request):
            complete = False
            break
    last = max((wanted.index(rule) for rule in failed if rule in wanted), default=-1)
    for position, rule in enumerate(wanted):
        if rule in failed:
            examined.results.append(CheckResult(rule, False, failed[rule]))
        elif not complete and position > last:
            examined.results.append(CheckResult(rule, None, "not examined: a rule before it failed"))
        else:
            examined.results.append(CheckResult(rule, True, CHECKS[rule]))
    return examined


def _paths(examined: Examined) -> Iterator[tuple[str, str]]:
    ceremony = examined.ceremony
    outputs = [*ceremony.outputs, ceremony.act.outputs.transcript]
    inputs = [*ceremony.inputs, *([ceremony.previous] if ceremony.previous else [])]
    root = ceremony.directory.resolve()
    for name in [*outputs, *inputs]:
        path = (ceremony.directory / name).resolve()
        if ".." in PurePosixPath(name).parts or not path.is_relative_to(root):
            yield "ROOT-PATHS", f"{name} leads out of the folder"
        elif name in outputs and not path.parent.is_dir():
            yield "ROOT-PATHS", f"the folder of {name} does not exist"
    if len({*outputs, *inputs, ceremony.path.name}) != len(outputs) + len(inputs) + 1:
        yield "ROOT-OUTPUT-ABSENT", "a file is named twice"
    if found := existing(ceremony.directory, outputs):
        yield "ROOT-OUTPUT-ABSENT", f"there already: {', '.join(found)}"
    if existing(ceremony.directory, [ceremony.unfinished]):
        yield (
            "ROOT-UNFINISHED",
            f"{ceremony.unfinished} records a run that stopped half-way: keep it, then move it away",
        )


def _inputs(examined: Examined) -> Iterator[tuple[str, str]]:
    for name, stated in examined.ceremony.inputs.items():
        try:
            data = _read(examined.ceremony.directory / name)
        except OSError as error:
            yield "ROOT-INPUT", f"{name}: {error.strerror or 'it cannot be read'}"
            continue
        if stated is not None and hashlib.sha256(data).hexdigest() != stated:
            yield "ROOT-INPUT", f"{name} does not have the SHA-256 that the file states"
        examined.inputs[name] = data


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1024 * 1024)


def _profile(examined: Examined) -> Iterator[tuple[str, str]]:
    act = examined.ceremony.act
    for part in profiles_used(act):
        match part:
            case CertificatePart():
                allowed: tuple[str, ...] = PROFILES_OF_ACT[act.act]
            case LinkPart():
                allowed = (LINK_PROFILE,)
            case StatementPart():
                allowed = (STATEMENT_PROFILE,)
        if part.profile not in allowed:
            yield "ROOT-PROFILE", f"the act {act.act} uses {' or '.join(allowed)} there, not {part.profile}"
            return
        profile = profiles()[part.profile]
        if part.cps != profile.cps:
            yield "ROOT-PROFILE", f"the file cites {part.cps}, the profile implements {profile.cps}"
    if isinstance(act, BELOW):
        wanted = wanted_urls(profiles()[act.certificate.profile])
        if {name for name in ("ocsp", "issuer", "crl") if getattr(act.urls, name) is not None} != wanted:
            yield "ROOT-URLS", f"the profile wants exactly: {', '.join(sorted(wanted))}"


def _history(examined: Examined) -> Iterator[tuple[str, str]]:
    ceremony = examined.ceremony
    if ceremony.previous is None:
        return
    examined.history = verify(ceremony.directory / ceremony.previous)
    for problem in examined.history.problems[:1]:
        yield "ROOT-CHAIN", f"{problem.artifact}: {problem.rule}: {problem.message}"


def _issuer(examined: Examined) -> Iterator[tuple[str, str]]:
    act = examined.ceremony.act
    if isinstance(act, RootAct):
        return
    try:
        read_certificate(examined.inputs[act.inputs.issuer], act.inputs.issuer)
    except X509Error as error:
        yield "ROOT-ISSUER", str(error.params["reason"])
        return
    examined.state = issuer_of(act, examined.inputs, held(examined.history, "ROOT-CHAIN").states)
    if examined.state is None:
        yield "ROOT-ISSUER", f"{act.inputs.issuer} is not a root of the transcripts"


def _request(examined: Examined) -> Iterator[tuple[str, str]]:
    act = examined.ceremony.act
    if not isinstance(act, BELOW):
        return
    try:
        request = read_csr(examined.inputs[act.inputs.csr])
    except X509Error as error:
        yield "ROOT-CSR", str(error.params["reason"])
        return
    try:
        wanted = subject_name(act.certificate.subject)
    except X509Error as error:
        yield "ROOT-LINT", error.message()
        return
    if not same_name(request.subject, wanted):
        yield "ROOT-CSR", "the request asks for another subject than the file"


def _act_rules(examined: Examined) -> Iterator[tuple[str, str]]:
    act = examined.ceremony.act
    states = examined.history.states if examined.history else []
    try:
        yield from broken_rules(act, examined.inputs, states, examined.state)
    except X509Error as error:
        yield "ROOT-LINT", error.message()
        return
    for part in profiles_used(act):
        issuer = examined.issuer if isinstance(act, BELOW) else None
        yield from _validity(part, profiles()[part.profile], issuer)
    if isinstance(act, (*NEW_ROOT, *BELOW)):
        yield from _lint(examined)


def _validity(
    part: CertificatePart | LinkPart | StatementPart, profile: Profile, issuer: x509.Certificate | None
) -> Iterator[tuple[str, str]]:
    if part.not_before >= part.not_after:
        yield "ROOT-VALIDITY", "it ends before it begins"
    if part.not_after >= part.not_before + profile.validity.maximum:
        yield "ROOT-VALIDITY", f"it is longer than {profile.validity.max_days} days, both ends counted"
    if issuer and (part.not_before < issuer.not_valid_before_utc or part.not_after > issuer.not_valid_after_utc):
        yield "ROOT-VALIDITY", "it is not within the validity of the root"


def facts(examined: Examined) -> Facts:
    """What the plan of the act takes, under throwaway keys and a serial number of no meaning."""
    act, state = examined.ceremony.act, examined.state
    new = throwaway_key(KeyAlgorithm(act.key.algorithm)).public_key() if isinstance(act, NEW_ROOT) else None
    return Facts(
        inputs=examined.inputs,
        issuer=examined.issuer,
        new_key=new,
        serial=lambda _: _SOME_SERIAL,
        profiles=examined.profiles,
        issued=tuple(state.issued) if state else (),
        revoked=state.revoked if state else (),
    )


def _lint(examined: Examined) -> Iterator[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    def sign(wanted: ToSign) -> Structure:
        if wanted.builder is None or wanted.profile is None:
            raise TypeError("only certificates are linted")
        certificate = throwaway_sign(wanted.builder, wanted.issuer_key)
        items = lint_certificate(certificate, wanted.profile, wanted.issuer or certificate)
        found.extend(("ROOT-LINT", f"{wanted.output}: {item.rule}: {item.message}") for item in items)
        return certificate

    try:
        run(plan(examined.ceremony.act, facts(examined)), sign)
    except ProfileMismatch as error:
        found.append(("ROOT-LINT", str(error.params["reason"])))
    except CamTrustError as error:
        found.append(("ROOT-LINT", error.message()))
    yield from found
