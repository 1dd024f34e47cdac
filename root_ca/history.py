"""Rules that look at an act in the light of the acts before it; `check` and `verify` both hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.arc import is_example
from foundation.x509.algorithms import key_algorithm, verify
from foundation.x509.certificate import says_specimen
from foundation.x509.csr import read_csr
from foundation.x509.errors import X509Error
from foundation.x509.names import name_pairs, same_name, subject_name
from foundation.x509.pem import certificate_pem, read_certificate
from foundation.x509.twin import statement_of
from root_ca.acts import (
    BELOW,
    CRLS,
    NEW_ROOT,
    Act,
    CrossCertificateAct,
    DestroyAct,
    EmergencyCrlAct,
    EndAct,
    LicenceAct,
    RolloverAct,
    RootAct,
    RootCrlAct,
    SubordinateAct,
    TwinRootAct,
)
from root_ca.building import CRL_CPS, DESTRUCTION_CPS
from root_ca.model import CrlPart, LastCrlPart, LinkPart, NextKeys, RevokedPart
from root_ca.structures import Issued, Structure, issuing_key, profiles_used

Broken = Iterator[tuple[str, str]]

COMPROMISED = ("keyCompromise", "cACompromise")


@dataclass
class RootState:
    """A root of the transcripts: its key's label, its certificate, its policies' arc, and what it has done."""

    label: str
    certificate: x509.Certificate
    arc: str
    issued: list[Issued] = field(default_factory=list)
    crls: list[CrlPart | LastCrlPart] = field(default_factory=list)
    ended: bool = False
    destroyed: bool = False

    @property
    def revoked(self) -> tuple[RevokedPart, ...]:
        """What stands on its last CRL."""
        return self.crls[-1].revoked if self.crls else ()


def issuing_label(act: Act) -> str | None:
    """The label of the root that the act's issuer file names; None for the first act."""
    if isinstance(act, RootAct):
        return None
    return act.key.beside if isinstance(act.key, NextKeys) else act.key.label


def issuer_of(act: Act, inputs: Mapping[str, bytes], states: Sequence[RootState]) -> RootState | None:
    """The root that the act's issuer file holds, exactly; None when it is none of the transcripts'."""
    if isinstance(act, RootAct):
        return None
    pem = inputs[act.inputs.issuer]
    return next((state for state in states if certificate_pem(state.certificate) == pem), None)


def advance(act: Act, structures: Mapping[str, Structure], states: list[RootState], state: RootState | None) -> None:
    """Carry the roots over an act that holds; ``structures`` by output path, ``state`` the issuing root."""

    def certificate(output: str) -> x509.Certificate:
        made = structures[output]
        if not isinstance(made, x509.Certificate):
            raise TypeError(f"{output} is not a certificate")
        return made

    if isinstance(act, NEW_ROOT):
        new = RootState(act.key.label, certificate(act.outputs.certificate), act.arc)
        states.append(new)
        if state is not None and isinstance(act, TwinRootAct):
            new.issued.append(Issued(certificate(act.outputs.by_new)))
            state.issued.append(Issued(certificate(act.outputs.by_old)))
        if state is not None and isinstance(act, RolloverAct):
            new.issued.append(Issued(certificate(act.outputs.old_with_new)))
            state.issued.append(Issued(certificate(act.outputs.new_with_old)))
    elif state is None:
        raise ValueError("an act without its root")
    elif isinstance(act, BELOW):
        licence = act if isinstance(act, LicenceAct) else None
        state.issued.append(Issued(certificate(act.outputs.certificate), licence))
    elif isinstance(act, CRLS):
        state.crls.append(act.crl)
        state.ended = isinstance(act, EndAct)
    elif isinstance(act, DestroyAct):
        state.destroyed = True


def broken_rules(act: Act, inputs: Mapping[str, bytes], states: Sequence[RootState], state: RootState | None) -> Broken:
    """Every rule that the act breaks, given what came before. ``state`` is the root that issues."""
    if not is_example(act.arc) and any(map(says_specimen, _subjects(act))):
        yield "ROOT-ARC", f"a subject says SPECIMEN, and its policies would stand below {act.arc}"
    if isinstance(act, RootAct):
        return
    if state is None or issuing_label(act) != state.label:
        yield "ROOT-ISSUER", "the issuer is not the root of the transcripts whose key the file names"
        return
    if act.arc != state.arc:
        yield "ROOT-ARC", f"the file names the arc {act.arc}, and the root {state.label} was made under {state.arc}"
        return
    if state.destroyed or (state.ended and not isinstance(act, DestroyAct)):
        yield "ROOT-ENDED", f"the root {state.label} has ended"
        return
    match act:
        case TwinRootAct():
            yield from _twin_rules(act, states, state)
        case RolloverAct():
            yield from _rollover_rules(act, state)
        case SubordinateAct() | CrossCertificateAct() | LicenceAct():
            yield from _below_rules(act, inputs, states, state)
        case RootCrlAct() | EmergencyCrlAct() | EndAct():
            yield from _crl_rules(act, states, state)
        case DestroyAct():
            if act.destruction.cps != DESTRUCTION_CPS:
                yield "ROOT-PROFILE", f"the file cites {act.destruction.cps}, destruction follows {DESTRUCTION_CPS}"
            if not state.ended:
                yield "ROOT-DESTROY", f"the root {state.label} has not ended: its last CRL comes first"


def _subjects(act: Act) -> list[tuple[tuple[str, str], ...]]:
    """The subjects that the file itself writes out."""
    return [part.subject for part in profiles_used(act) if not isinstance(part, LinkPart)]


def _twin_rules(act: TwinRootAct, states: Sequence[RootState], state: RootState) -> Broken:
    name = subject_name(act.certificate.subject)
    if any(same_name(name, one.certificate.subject) for one in states):
        yield "ROOT-TWIN", "a twin has a name of its own"
    if act.key.algorithm != "ml-dsa-87" and _kind(state.certificate) != "ml-dsa-87":
        yield "ROOT-TWIN", "one of the twins is an ML-DSA-87 root"
    if act.key.algorithm == "ml-dsa-87" and _kind(state.certificate) == "ml-dsa-87":
        yield "ROOT-TWIN", "the two are of the same kind"
    if same_name(subject_name(act.statement.subject), name) or any(
        same_name(subject_name(act.statement.subject), one.certificate.subject) for one in states
    ):
        yield "ROOT-TWIN", "the statement has the name of a root"


def _kind(root: x509.Certificate) -> str:
    return key_algorithm(root.public_key()).value


def _rollover_rules(act: RolloverAct, state: RootState) -> Broken:
    old, new = state.certificate, act.certificate
    if not same_name(subject_name(new.subject), old.subject):
        yield "ROOT-ROLLOVER", "a rollover keeps the root's name"
    if new.not_after <= old.not_valid_after_utc:
        yield "ROOT-ROLLOVER", "the new root does not outlive the old one"
    if new.not_before < old.not_valid_before_utc:
        yield "ROOT-ROLLOVER", "the new root begins before the old one"
    for name, link in (("old_with_new", act.old_with_new), ("new_with_old", act.new_with_old)):
        yield from _link_rules(name, link, act, old)


def _link_rules(name: str, link: LinkPart, act: RolloverAct, old: x509.Certificate) -> Broken:
    begins = max(old.not_valid_before_utc, act.certificate.not_before)
    if link.not_before < begins or link.not_after > old.not_valid_after_utc or link.not_before >= link.not_after:
        yield "ROOT-LINK", f"{name} is not within the time that both roots are valid (RFC 9810 §4.4)"


def _below_rules(
    act: SubordinateAct | CrossCertificateAct | LicenceAct,
    inputs: Mapping[str, bytes],
    states: Sequence[RootState],
    state: RootState,
) -> Broken:
    key = _bits(read_csr(inputs[act.inputs.csr]).public_key())
    below = [one.certificate for one in state.issued if statement_of(one.certificate) is None]
    if any(_bits(certificate.public_key()) == key for certificate in (state.certificate, *below)):
        yield "ROOT-KEY-DISTINCT", "this key has a certificate of this root already"
    subject = subject_name(act.certificate.subject)
    if isinstance(act, CrossCertificateAct):
        if same_name(subject, state.certificate.subject):
            yield "ROOT-NAME-DISTINCT", "the subject is the issuing root's"
        yield from _cross_rules(act, inputs, key)
        return
    if any(_bits(one.certificate.public_key()) == key for one in states):
        yield "ROOT-KEY-DISTINCT", "this key is a root's"
    if any(same_name(subject, one.certificate.subject) for one in states):
        yield "ROOT-NAME-DISTINCT", "the subject is that of a root"
    if isinstance(act, LicenceAct):
        yield from _licence_rules(act)


def _cross_rules(act: CrossCertificateAct, inputs: Mapping[str, bytes], key: bytes) -> Broken:
    try:
        other = read_certificate(inputs[act.inputs.certificate], act.inputs.certificate)
    except X509Error as error:
        yield "ROOT-CROSS", str(error.params["reason"])
        return
    if _bits(other.public_key()) != key or not same_name(other.subject, subject_name(act.certificate.subject)):
        yield "ROOT-CROSS", "the other root's certificate has another key or name than the request"
    try:
        verify(issuing_key(other), other.signature, other.tbs_certificate_bytes)
    except X509Error:
        yield "ROOT-CROSS", "the other certificate is not one that its own key signed"


def _licence_rules(act: LicenceAct) -> Broken:
    part = act.certificate
    if act.audit.valid_until <= part.not_before:
        yield "ROOT-LICENCE", "the audit is over when the certificate begins"
    if act.service.since < part.not_before or act.service.since > part.not_after:
        yield "ROOT-LICENCE", "the service is listed outside the validity of its certificate"
    organisation = dict(name_pairs(subject_name(part.subject))).get("O")
    if act.constraints.o and organisation not in act.constraints.o:
        yield "ROOT-LICENCE", "the licensed organisation is not among those it may name"


def _crl_rules(act: RootCrlAct | EmergencyCrlAct | EndAct, states: Sequence[RootState], state: RootState) -> Broken:
    part, root = act.crl, state.certificate
    numbers = [
        crl.number for one in states if same_name(one.certificate.subject, root.subject) for crl in one.crls
    ]  # one sequence for one name, whichever key signs
    if numbers and part.number <= max(numbers):
        yield "ROOT-CRL-NUMBER", f"{part.number} is not larger than {max(numbers)}"
    if part.cps != CRL_CPS:
        yield "ROOT-PROFILE", f"the file cites {part.cps}, CRLs follow {CRL_CPS}"
    if isinstance(part, CrlPart):
        if not part.this_update < part.next_update <= twelve_months_after(part.this_update):
            yield "ROOT-CRL-PERIOD", "the next update is not after this one and at most 12 months later"
        if part.next_update > root.not_valid_after_utc:
            yield "ROOT-CRL-PERIOD", "the CRL is not within the validity of the root"
    if state.crls and part.this_update <= state.crls[-1].this_update:
        yield "ROOT-CRL-PERIOD", "this update is not later than that of the CRL before"
    if not root.not_valid_before_utc <= part.this_update <= root.not_valid_after_utc:
        yield "ROOT-CRL-PERIOD", "the CRL is not within the validity of the root"
    yield from _revoked_rules(part.revoked, part.this_update, state)
    if isinstance(act, EmergencyCrlAct):
        new = [item for item in part.revoked if item not in state.revoked]
        if not new or any(item.reason not in COMPROMISED for item in new):
            yield "ROOT-INCIDENT", "an emergency CRL revokes something new, and because of a compromise"
        if act.incident.detected_at > part.this_update:
            yield "ROOT-INCIDENT", "the incident is later than the CRL"
    if isinstance(act, EndAct):
        yield from _end_rules(act, state)


def _end_rules(act: EndAct, state: RootState) -> Broken:
    listed = {int(item.serial, 16) for item in act.crl.revoked}
    left = [
        f"{one.certificate.serial_number:x}"
        for one in state.issued
        if one.certificate.not_valid_after_utc > act.crl.this_update and one.certificate.serial_number not in listed
    ]
    if left:
        yield "ROOT-END", f"not expired and not revoked: {', '.join(left)}"
    if act.crl.expired_since > state.certificate.not_valid_before_utc:
        yield "ROOT-END", "expired certificates must stay on the last CRL from the root's beginning"
    if act.notice.effective > act.crl.this_update:
        yield "ROOT-END", "the end is later than the last CRL"


def _revoked_rules(revoked: Sequence[RevokedPart], this_update: datetime, state: RootState) -> Broken:
    serials = [int(item.serial, 16) for item in revoked]
    if len(set(serials)) != len(serials):
        yield "ROOT-CRL-REVOKED", "a certificate stands in it twice"
    if unknown := set(serials) - {one.certificate.serial_number for one in state.issued}:
        yield "ROOT-CRL-REVOKED", f"this root never issued {', '.join(f'{serial:x}' for serial in sorted(unknown))}"
    if any(item.revoked_at > this_update for item in revoked):
        yield "ROOT-CRL-REVOKED", "a revocation is later than the CRL"
    given = {int(item.serial, 16): item for item in revoked}
    if any(given.get(int(item.serial, 16)) != item for item in state.revoked):
        yield "ROOT-CRL-REVOKED", "a revocation of the CRL before is missing or changed"


def twelve_months_after(moment: datetime) -> datetime:
    """The same day a year later; the 29th of February gives the 28th."""
    day = 28 if (moment.month, moment.day) == (2, 29) else moment.day
    return moment.replace(year=moment.year + 1, day=day)


def _bits(public_key: CertificatePublicKeyTypes) -> bytes:
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
