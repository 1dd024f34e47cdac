"""`check`: every rule that files alone can answer. Runs anywhere, needs no key, writes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes

from foundation.errors import CamTrustError
from foundation.x509.algorithms import throwaway_key
from foundation.x509.certificate import throwaway_sign
from foundation.x509.csr import read_csr
from foundation.x509.errors import ProfileMismatch, X509Error
from foundation.x509.lint import lint_certificate
from foundation.x509.names import same_name, subject_name
from foundation.x509.pem import certificate_pem, read_certificate
from foundation.x509.profile import Profile
from root_ca.building import PROFILES_OF_ACT, profiles, root_builder, subordinate_builder, wanted_urls
from root_ca.errors import CeremonyRefused
from root_ca.history import certificate_rules, crl_rules
from root_ca.model import Ceremony, CheckResult, RootAct, RootCrlAct, SubordinateAct, confirmation
from root_ca.outputs import existing
from root_ca.rules import CHECKS
from root_ca.verification import Verification, verify

Value = TypeVar("Value")

_SOME_SERIAL = 1 << 126 | 1  # the real one is drawn when the act is performed

_RULES_OF_ACT = {
    "root": ("ROOT-PATHS", "ROOT-OUTPUT-ABSENT", "ROOT-UNFINISHED", "ROOT-PROFILE", "ROOT-VALIDITY", "ROOT-LINT"),
    "subordinate": (
        "ROOT-PATHS", "ROOT-OUTPUT-ABSENT", "ROOT-UNFINISHED", "ROOT-INPUT", "ROOT-PROFILE", "ROOT-URLS", "ROOT-CHAIN",
        "ROOT-ISSUER", "ROOT-CSR", "ROOT-KEY-DISTINCT", "ROOT-NAME-DISTINCT", "ROOT-VALIDITY", "ROOT-LINT",
    ),
    "root-crl": (
        "ROOT-PATHS", "ROOT-OUTPUT-ABSENT", "ROOT-UNFINISHED", "ROOT-INPUT", "ROOT-PROFILE", "ROOT-CHAIN",
        "ROOT-ISSUER", "ROOT-CRL-NUMBER", "ROOT-CRL-PERIOD", "ROOT-CRL-REVOKED",
    ),
}  # fmt: skip
_RULES_OF_ACT["ocsp-responder"] = _RULES_OF_ACT["subordinate"]


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
    profile: Profile | None = None
    issuer: x509.Certificate | None = None
    request: x509.CertificateSigningRequest | None = None

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
        return confirmation(self.ceremony, self.input_digests, self.previous_sha256)


def examine(ceremony: Ceremony) -> Examined:
    """Examine every rule of the act; failures are results, never exceptions."""
    examined = Examined(ceremony)
    failed: dict[str, str] = {}
    wanted = _RULES_OF_ACT[ceremony.act.act]
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
    outputs = [ceremony.output, ceremony.act.outputs.transcript]
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
    if isinstance(act, RootCrlAct):
        return
    part = act.certificate
    if part.profile not in PROFILES_OF_ACT[act.act]:
        yield "ROOT-PROFILE", f"the act {act.act} uses {' or '.join(PROFILES_OF_ACT[act.act])}, not {part.profile}"
        return
    profile = examined.profile = profiles()[part.profile]
    if part.cps != profile.cps:
        yield "ROOT-PROFILE", f"the file cites {part.cps}, the profile implements {profile.cps}"
    if isinstance(act, SubordinateAct):
        given = {name for name in ("ocsp", "issuer", "crl") if getattr(act.urls, name) is not None}
        if given != wanted_urls(profile):
            yield "ROOT-URLS", f"the profile wants exactly: {', '.join(sorted(wanted_urls(profile)))}"


def _history(examined: Examined) -> Iterator[tuple[str, str]]:
    ceremony = examined.ceremony
    if ceremony.previous is None:
        return
    examined.history = verify(ceremony.directory / ceremony.previous)
    for problem in examined.history.problems[:1]:
        yield "ROOT-CHAIN", f"{problem.artifact}: {problem.rule}: {problem.message}"


def _issuer(examined: Examined) -> Iterator[tuple[str, str]]:
    act = examined.ceremony.act
    if isinstance(act, RootAct) or examined.history is None or examined.history.root is None:
        return
    try:
        issuer = read_certificate(examined.inputs[act.inputs.issuer], act.inputs.issuer)
    except X509Error as error:
        yield "ROOT-ISSUER", str(error.params["reason"])
        return
    if certificate_pem(examined.history.root) != examined.inputs[act.inputs.issuer]:
        yield "ROOT-ISSUER", f"{act.inputs.issuer} is not the root of the transcripts"
    examined.issuer = issuer


def _request(examined: Examined) -> Iterator[tuple[str, str]]:
    act = examined.ceremony.act
    if not isinstance(act, SubordinateAct):
        return
    try:
        request = examined.request = read_csr(examined.inputs[act.inputs.csr])
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
    act, history = examined.ceremony.act, examined.history
    if isinstance(act, RootCrlAct):
        history = held(history, "ROOT-CHAIN")
        yield from crl_rules(act, [one.ceremony for one in history.acts], history.certificates)
        return
    if isinstance(act, SubordinateAct):
        key = held(examined.request, "ROOT-CSR").public_key()
        yield from certificate_rules(act, key, held(history, "ROOT-CHAIN").certificates)
    yield from _validity(examined, act)
    yield from _lint(examined, act)


def _validity(examined: Examined, act: RootAct | SubordinateAct) -> Iterator[tuple[str, str]]:
    part, profile, issuer = act.certificate, held(examined.profile, "ROOT-PROFILE"), examined.issuer
    if part.not_before >= part.not_after:
        yield "ROOT-VALIDITY", "it ends before it begins"
    if part.not_after >= part.not_before + profile.validity.maximum:
        yield "ROOT-VALIDITY", f"it is longer than {profile.validity.max_days} days, both ends counted"
    if issuer and (part.not_before < issuer.not_valid_before_utc or part.not_after > issuer.not_valid_after_utc):
        yield "ROOT-VALIDITY", "it is not within the validity of the root"


def _lint(examined: Examined, act: RootAct | SubordinateAct) -> Iterator[tuple[str, str]]:
    profile = held(examined.profile, "ROOT-PROFILE")
    try:
        if isinstance(act, RootAct):
            key: CertificateIssuerPublicKeyTypes = throwaway_key(profile.key.algorithms[0]).public_key()
            certificate = throwaway_sign(root_builder(act, profile, key, _SOME_SERIAL), key)
            findings = lint_certificate(certificate, profile, certificate)
        else:
            issuer, request = held(examined.issuer, "ROOT-ISSUER"), held(examined.request, "ROOT-CSR")
            builder = subordinate_builder(act, profile, request.public_key(), _SOME_SERIAL, issuer)
            certificate = throwaway_sign(builder, issuer.public_key())  # type: ignore[arg-type]  # a root of ours
            findings = lint_certificate(certificate, profile, issuer)
    except ProfileMismatch as error:
        yield "ROOT-LINT", str(error.params["reason"])
        return
    except CamTrustError as error:
        yield "ROOT-LINT", error.message()
        return
    for item in findings:
        yield "ROOT-LINT", f"{item.rule}: {item.message}"
