"""Vouching for somebody who has no document. Controls: EKYC-DECLARATION, EKYC-VOUCH.

The person declares name, birth and commune, and hands invitations to two certificate holders who know them. Each of
these, in their own session, sees what was declared and approves the digest of the evidence with their own factors. A
voucher is another person, holds a certificate in force of a level that is not vouched for itself, is none whom the
other voucher or the person vouched for, and vouches for few in a period. Then an officer of the commune
(`ekyc.vouching.commune`) speaks. What comes of it is provisional: it ends soon and is not renewed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from ekyc import store
from ekyc.approval import DECLARED
from ekyc.casefile import CaseFiles
from ekyc.documents.desk import age_on, local_day
from ekyc.documents.kinds import namesake_parts
from ekyc.errors import BirthDateIncomplete, EvidenceChanged, GuardianNeeded, LevelWithout, TooMuchEvidence
from ekyc.evidence.record import EvidenceKind, verify_chain
from ekyc.guardians.desk import is_self
from ekyc.model import TAKES_DECLARATION, Enrolment, State
from ekyc.names import khmer_name, latin_name
from ekyc.policy import Vouching
from ekyc.ports import CertificateIssuer
from ekyc.vouching import store as vouch_store
from ekyc.vouching.errors import VoucherNotHolder, VoucherQuota, VoucherSelf, VouchersRelated, VouchInvitationUnknown
from foundation.clock import rfc3339
from foundation.http.actor import Actor
from foundation.keys.port import Factors

_DAYS = 7  # how long an invitation is good
_OLDEST = 130  # years


@dataclass(frozen=True)
class Declaration:
    """What a person without a document says of themselves. ``commune``: its six digits in the gazetteer."""

    surname: str
    given_names: str
    surname_km: str
    given_names_km: str
    date_of_birth: date
    commune: str


@dataclass(frozen=True)
class VouchInvitation:
    """A code for one voucher, given once and kept nowhere."""

    code: str
    expires_at: datetime


@dataclass(frozen=True)
class Asked:
    """What a voucher is asked to approve: the declaration, and the digest that stands for exactly this evidence."""

    enrolment_id: str
    declared: Mapping[str, Any]
    evidence_digest: str


class VouchDesk:
    """Takes declarations and vouchers' words."""

    def __init__(self, files: CaseFiles, factors: Factors, issuer: CertificateIssuer) -> None:
        self._files = files
        self._factors = factors
        self._issuer = issuer

    def declare(
        self, actor: Actor, enrolment_id: str, said: Declaration, *, if_version: int | None = None
    ) -> Enrolment:
        """Name, birth and commune, instead of a document; declared anew, whoever vouched before has to do it again.

        Raises LevelWithout, NameUnusable, BirthDateIncomplete, GuardianNeeded (below full age), TooMuchEvidence, and
        what :meth:`CaseFiles.begin` raises.
        """
        files, rules, now = self._files, self.rules(), self._files.clock.now()
        enrolment = files.begin(actor, enrolment_id, *TAKES_DECLARATION, if_version=if_version)
        files.takes(enrolment, EvidenceKind.DECLARATION)
        latin = [latin_name(one).canonical for one in (said.surname, said.given_names)]
        khmer = {"surname_km": khmer_name(said.surname_km), "given_names_km": khmer_name(said.given_names_km)}
        age = age_on(said.date_of_birth, local_day(now))
        if not 0 <= age <= _OLDEST:
            raise BirthDateIncomplete
        if age < files.policy.age_full:
            raise GuardianNeeded(age=files.policy.age_full)
        born = said.date_of_birth.isoformat()
        content = {
            "document_type": DECLARED,
            "surname": latin[0],
            "given_names": latin[1],
            "date_of_birth": born,
            "commune": said.commune,
            **{field: {"entered": name.as_entered, "canonical": name.canonical} for field, name in khmer.items()},
            "carries_until": rfc3339((now + timedelta(days=rules.lifetime_days)).replace(microsecond=0)),
        }
        key = "".join(one.match_key for one in khmer.values())
        index = files.index.of("subject", DECLARED.encode(), key.encode(), born.encode())
        namesake = files.index.of("namesake", *namesake_parts(latin[0], latin[1], said.date_of_birth))
        sealed = files.seal(enrolment, EvidenceKind.DECLARATION, content)
        unique = files.seal(enrolment, EvidenceKind.DEDUPE, {"index": index.hex()})
        with files.step(enrolment) as connection:
            taken = sum(one.kind is EvidenceKind.DECLARATION for one in store.ledger(connection, enrolment.id))
            if taken >= files.settings.evidence_tries:
                raise TooMuchEvidence
            facts = {"commune": said.commune}
            files.record(connection, enrolment, EvidenceKind.DECLARATION, "declared", sealed, str(actor), facts)
            values = {"subject_index": index}
            if enrolment.state is State.WAITING_VOUCHERS:
                moved = store.change(connection, enrolment, values, namesake_index=namesake)
            else:
                columns = {"namesake_index": namesake}
                moved = files.advance(
                    connection, enrolment, State.WAITING_VOUCHERS, str(actor), columns=columns, subject_index=index
                )
            outcome = "unique" if store.claimed_by(connection, index) is None else "duplicate"
            found = store.namesake_facts(connection, moved)
            files.record(connection, moved, EvidenceKind.DEDUPE, outcome, unique, "service:ekyc", found)
        return moved

    def invite(self, actor: Actor, enrolment_id: str, *, if_version: int | None = None) -> VouchInvitation:
        """A code for one voucher, good once and for seven days. Raises TooMuchEvidence, WrongState."""
        files = self._files
        enrolment = files.begin(actor, enrolment_id, State.WAITING_VOUCHERS, if_version=if_version)
        code = files.new_id("VCH-")
        index = files.index.of("vouch-invitation", code.encode())
        expires_at = files.clock.now() + timedelta(days=_DAYS)
        with files.step(enrolment) as connection:
            if vouch_store.invitations.made_by(connection, enrolment.id) >= files.settings.evidence_tries:
                raise TooMuchEvidence
            vouch_store.invitations.add(connection, index, enrolment.id, expires_at)
            files.audit.append(connection, str(actor), "ekyc.voucher_invited", enrolment.id, {})
        return VouchInvitation(code, expires_at)

    def look(self, actor: Actor, code: str) -> Asked:
        """What the caller is asked to vouch for; looking is written down, for the person to see.

        Raises VouchInvitationUnknown, WrongState, VoucherSelf, VoucherNotHolder, VouchersRelated, VoucherQuota.
        """
        files = self._files
        _, ward, _ = self._invited(actor, code)
        with files.database.unit_of_work() as connection:
            details = {"person": ward.person_id}
            files.audit.append(connection, str(actor), "ekyc.evidence_viewed", ward.id, details)
        with files.database.read() as connection:
            content = files.open(connection, ward, EvidenceKind.DECLARATION)
            digest = verify_chain(store.ledger(connection, ward.id)).hex()
        return Asked(ward.id, content, digest)

    def vouch(self, actor: Actor, code: str, evidence_digest: str, pin: str, totp: str) -> Enrolment:
        """The caller knows this person, and approves exactly this evidence with PIN and one-time code.

        Raises what :meth:`look` raises, EvidenceChanged (look again), and what the token says of the factors.
        """
        files, rules, now = self._files, self.rules(), self._files.clock.now()
        voucher, ward, index = self._invited(actor, code)
        if verify_chain(files.ledger(ward)).hex() != evidence_digest:
            raise EvidenceChanged
        self._factors.check(voucher.person_id, pin, totp)
        sealed = files.seal(ward, EvidenceKind.VOUCH, {"seen": evidence_digest})
        facts = {"seen": evidence_digest, "certificate": voucher.certificate_serial or ""}
        with files.step(ward) as connection:
            store.hold(connection, voucher)  # so that of two wards at once one is counted before the other
            vouch_store.invitations.use(connection, index, now)
            self._check_quota(connection, voucher, ward, rules)
            self._check_relation(connection, voucher, ward)
            files.record(connection, ward, EvidenceKind.VOUCH, "vouched", sealed, str(actor), facts)
            vouch_store.vouch(connection, ward.id, voucher.person_id, now)
            moved = files.touch(connection, ward)
            files.audit.append(connection, str(actor), "ekyc.vouched", ward.id, {"voucher": voucher.person_id})
        return moved

    def rules(self) -> Vouching:
        """Raises LevelWithout under a policy that has none."""
        rules = self._files.policy.vouching
        if rules is None:
            raise LevelWithout(level="VOUCHED")
        return rules

    def may_vouch(self, voucher: Enrolment) -> bool:
        """Whether somebody's certificate is in force, by the CA's word, and of a level that vouches."""
        serial, now = voucher.certificate_serial, self._files.clock.now()
        holds = voucher.state is State.ACTIVATED and serial is not None and self._issuer.in_force(serial, now)
        return holds and voucher.level in self.rules().levels

    def _invited(self, actor: Actor, code: str) -> tuple[Enrolment, Enrolment, bytes]:
        """The caller's own enrolment, that of the person, and the index of the invitation."""
        files, rules = self._files, self.rules()
        voucher = files.of_person(actor)
        index = files.index.of("vouch-invitation", code.strip().upper().encode())
        with files.database.read() as connection:
            ward_id = vouch_store.invitations.enrolment_of(connection, index, files.clock.now())
            ward = None if ward_id is None else store.load(connection, ward_id)
        if ward is None:
            raise VouchInvitationUnknown
        files.check(ward, State.WAITING_VOUCHERS)
        with files.database.read() as connection:
            if is_oneself(connection, voucher, ward):
                raise VoucherSelf
            if not self.may_vouch(voucher):
                raise VoucherNotHolder
            self._check_quota(connection, voucher, ward, rules)
            self._check_relation(connection, voucher, ward)
        return voucher, ward, index

    def _check_quota(self, connection: Any, voucher: Enrolment, ward: Enrolment, rules: Vouching) -> None:
        since = self._files.clock.now() - timedelta(days=rules.period_days)
        if vouch_store.vouched_since(connection, voucher.person_id, since, ward.id) >= rules.per_voucher:
            raise VoucherQuota(most=rules.per_voucher, days=rules.period_days)

    def _check_relation(self, connection: Any, voucher: Enrolment, ward: Enrolment) -> None:
        others = vouch_store.vouchers(connection, ward.id) - {voucher.person_id}
        if vouch_store.related(connection, voucher.person_id, others, ward.person_id):
            raise VouchersRelated


def is_oneself(connection: Any, voucher: Enrolment, ward: Enrolment) -> bool:
    """By person, by the index of the person, and by name and birth: whoever enrols twice is one person."""
    return is_self(voucher, ward) or vouch_store.one_name(connection, voucher.id, ward.id)
