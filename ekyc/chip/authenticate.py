"""Passive authentication: whether a chip's files are those that a state signed (ICAO 9303-11 §5.1). Pure and bounded.

The steps, each with its rule (clauses in :data:`ekyc.chip.verdict.CLAUSES`):

     1  CHIP-FORMAT         files, sizes, tags; EF.SOD is DER without anything left over
     2  CHIP-DG-LISTED      no file that the signed object does not list; an EF.COM that differs from it is weak
     3  CHIP-DG-HASH        each file has the hash that is listed for it
     4  CHIP-SOD-PROFILE    one signer, its own certificate, nothing unsigned
     5  CHIP-CURVE          explicit parameters are exactly a known curve's; the library computes with it
     6  CHIP-ALGORITHM      algorithms of the list; SHA-1 and RSA under 2048 bits are weak
     7  CHIP-SOD-SIGNATURE  the signature over content and signed attributes
     8  CHIP-DSC-PROFILE    a certificate for signing documents: not a CA, digitalSignature, no other purpose
     9  CHIP-ANCHOR         an imported authority of the issuer's name and key
    10  CHIP-DSC-SIGNATURE  that authority's signature over the raw to-be-signed bytes
    11  CHIP-DSC-VALIDITY   valid at issuing; a signer that has expired since is weak
    12  CHIP-DSC-STATUS     not revoked by any CRL of the authority; without a current one it is weak
    13  CHIP-MRZ            the machine-readable zone of DG1 reads with all check digits
    14  CHIP-COUNTRY        its issuing state, the signer's country and the authority's country are one
    15  CHIP-POSSESSION     see :mod:`ekyc.chip.active` and :mod:`ekyc.chip.agreement`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ekyc.chip.agreement import announces
from ekyc.chip.certificates import ChipCertificate
from ekyc.chip.countries import country_of
from ekyc.chip.curves import CurveForged, CurveUnsupported
from ekyc.chip.der import Malformed
from ekyc.chip.issuer import Issued, Search, Status, find_issuer, may_sign_certificates, status_of
from ekyc.chip.lds import ChipFiles, read_com, read_files, read_mrz
from ekyc.chip.signatures import AlgorithmUnsupported, PublicKey, digest, read_public_key
from ekyc.chip.sod import BeyondProfile, SecurityFile, SignersWrong, document_signer, read_sod
from ekyc.chip.verdict import ChipOutcome, ChipVerdict, Rule, Standing, Step, outcome_of
from ekyc.mrz import Mrz


def authenticate(
    files: Mapping[str, bytes], anchors: Sequence[bytes], crls: Sequence[bytes], at: datetime
) -> ChipVerdict:
    """Judge the files of one chip at the time ``at`` (aware; ValueError otherwise). Nothing in a file raises.

    ``files`` by name: EF.SOD and DG1 must be there, EF.COM and DG2 to DG16 may. ``anchors`` are CSCA certificates that
    operators imported, ``crls`` of any origin (DER both). AUTHENTIC is the only pass, and it proves data, not
    possession.
    """
    if at.tzinfo is None:
        raise ValueError("the time must have a time zone")
    examination = _Examination(at)
    try:
        examination.run(files, anchors, crls)
    except _Ended:
        pass
    except Exception:  # asn1crypto and cryptography raise several kinds; what cannot be judged has failed
        examination.note(Rule.FORMAT, Standing.FAILED, "unexpected")
    return examination.verdict()


def issuer_of(sod: bytes) -> str | None:
    """The name of the authority that is said to have issued the document signer of an EF.SOD, prepared for comparison:
    which anchors to look for. None where it cannot be read. Says nothing about trust.
    """
    try:
        return document_signer(read_sod(sod)).issuer.key
    except Exception:  # asn1crypto raises several kinds; `authenticate` will say what is wrong
        return None


def _announces(com: bytes, sod: SecurityFile) -> bool:
    """Whether EF.COM, which nobody signed, announces just the data groups of the signed object."""
    try:
        return read_com(com) == sod.lds.hashes.keys()
    except Malformed:
        return False


class _Ended(Exception):
    """A step without which no later one can be taken."""


@dataclass
class _Examination:
    """The state of one examination: steps so far, and what they gave."""

    at: datetime
    steps: list[Step] = field(default_factory=list)
    files: ChipFiles | None = None
    signer: ChipCertificate | None = None
    anchor: ChipCertificate | None = None
    mrz: Mrz | None = None
    expired: bool = False
    announced: bool = False

    def note(self, rule: Rule, standing: Standing, detail: str = "") -> None:
        self.steps.append(Step(rule, standing, detail[:80]))

    def check(self, rule: Rule, holds: bool, detail: str = "") -> bool:
        self.note(rule, Standing.HOLDS if holds else Standing.FAILED, "" if holds else detail)
        return holds

    def run(self, files: Mapping[str, bytes], anchors: Sequence[bytes], crls: Sequence[bytes]) -> None:
        read = self._files(files)
        sod = self._sod(read)
        self._hashes(read, sod)
        self._mrz(read)
        signer = self._signer(sod)
        key = self._key(signer)
        self._signature(sod, signer, key)
        self._profile(signer)
        search = find_issuer(signer, anchors)
        self._anchored(search)
        self._validity(sod, signer)
        if self.anchor is not None:
            status = status_of(signer, search, crls, self.at)
            standing = {Status.GOOD: Standing.HOLDS, Status.REVOKED: Standing.FAILED, Status.UNKNOWN: Standing.WEAK}
            self.note(Rule.DSC_STATUS, standing[status], "" if status is Status.GOOD else status.value)
        self._country(signer)

    def verdict(self) -> ChipVerdict:
        reached = {step.rule for step in self.steps}
        missing = [Step(rule, Standing.NOT_REACHED) for rule in Rule if rule not in reached]
        steps = tuple(sorted([*self.steps, *missing], key=lambda step: step.rule.number))
        outcome = outcome_of(steps)
        usable = outcome not in (ChipOutcome.FAILED, ChipOutcome.UNSUPPORTED)
        return ChipVerdict(
            outcome,
            steps,
            possession_announced=self.announced,
            signer_expired=self.expired,
            country=self.signer.subject.country if self.signer else None,
            signer_sha256=self.signer.sha256 if self.signer else None,
            anchor_sha256=self.anchor.sha256 if self.anchor else None,
            mrz=self.mrz if usable else None,
            groups=dict(self.files.groups) if usable and self.files else {},
        )

    def _stop(self, rule: Rule, standing: Standing, detail: str) -> _Ended:
        self.note(rule, standing, detail)
        return _Ended()

    def _files(self, files: Mapping[str, bytes]) -> ChipFiles:
        try:
            self.files = read_files(files)
        except Malformed as error:
            raise self._stop(Rule.FORMAT, Standing.FAILED, str(error)) from None
        return self.files

    def _sod(self, files: ChipFiles) -> SecurityFile:
        try:
            sod = read_sod(files.sod)
        except Malformed as error:
            raise self._stop(Rule.FORMAT, Standing.FAILED, f"EF.SOD: {error}") from None
        except SignersWrong as error:
            raise self._stop(Rule.SOD_PROFILE, Standing.FAILED, str(error)) from None
        except BeyondProfile as error:
            raise self._stop(Rule.SOD_PROFILE, Standing.UNSUPPORTED, str(error)) from None
        except AlgorithmUnsupported as error:
            raise self._stop(Rule.ALGORITHM, Standing.UNSUPPORTED, str(error)) from None
        self.note(Rule.FORMAT, Standing.HOLDS)
        return sod

    def _hashes(self, files: ChipFiles, sod: SecurityFile) -> None:
        self.announced = 15 in sod.lds.hashes or (
            14 in sod.lds.hashes and (14 not in files.groups or announces(files.groups[14]))
        )
        strangers = [f"DG{number}" for number in sorted(files.groups) if number not in sod.lds.hashes]
        strangers += ["unknown file"] * bool(files.strangers)
        if not strangers and files.com is not None and not _announces(files.com, sod):
            self.note(Rule.DG_LISTED, Standing.WEAK, "EF.COM differs")
        else:
            self.check(Rule.DG_LISTED, not strangers, " ".join(strangers))
        wrong = [
            f"DG{number}"
            for number, data in sorted(files.groups.items())
            if number in sod.lds.hashes and digest(sod.lds.hash_name, data) != sod.lds.hashes[number]
        ]
        self.check(Rule.DG_HASH, not wrong, " ".join(wrong))

    def _mrz(self, files: ChipFiles) -> None:
        try:
            self.mrz = read_mrz(files.groups[1], self.at.date())
        except Malformed as error:
            self.note(Rule.MRZ, Standing.FAILED, str(error))
        else:
            self.note(Rule.MRZ, Standing.HOLDS)

    def _signer(self, sod: SecurityFile) -> ChipCertificate:
        try:
            self.signer = document_signer(sod)
        except Malformed as error:
            raise self._stop(Rule.FORMAT, Standing.FAILED, f"document signer: {error}") from None
        except AlgorithmUnsupported as error:
            raise self._stop(Rule.ALGORITHM, Standing.UNSUPPORTED, str(error)) from None
        named = sod.names(self.signer)
        if named is None:  # the same name in other letters: those letters are not signed
            self.note(Rule.SOD_PROFILE, Standing.WEAK, "signer identifier")
        else:
            self.check(Rule.SOD_PROFILE, named, "signer identifier")
        return self.signer

    def _key(self, signer: ChipCertificate) -> PublicKey:
        try:
            key = read_public_key(signer.public_key_info)
        except CurveForged as error:
            raise self._stop(Rule.CURVE, Standing.FAILED, f"explicit-curve forgery: {error}") from None
        except CurveUnsupported as error:
            raise self._stop(Rule.CURVE, Standing.UNSUPPORTED, str(error)) from None
        except AlgorithmUnsupported as error:
            raise self._stop(Rule.ALGORITHM, Standing.UNSUPPORTED, str(error)) from None
        except Malformed as error:
            raise self._stop(Rule.FORMAT, Standing.FAILED, f"document signer: {error}") from None
        self.note(Rule.CURVE, Standing.HOLDS)
        return key

    def _signature(self, sod: SecurityFile, signer: ChipCertificate, key: PublicKey) -> None:
        weak = {*sod.signer.algorithm.weaknesses(key)}
        weak |= {"sha1"} if "sha1" in (sod.lds.hash_name, signer.algorithm.hash_name) else set()
        self.note(Rule.ALGORITHM, Standing.WEAK if weak else Standing.HOLDS, " ".join(sorted(weak)))
        if not self.check(Rule.SOD_SIGNATURE, sod.signature_holds(key)):
            raise _Ended

    def _profile(self, signer: ChipCertificate) -> None:
        """A CSCA also certifies signers of master lists and of printed seals: those must not sign chips."""
        usages = signer.usages()
        wrong = [
            name
            for name, broken in (
                ("CA", signer.is_ca),
                ("key usage", usages is None or "digital_signature" not in usages),
                ("another purpose", signer.has_extended_usage),
                ("critical extension", signer.unknown_critical()),
            )
            if broken
        ]
        self.check(Rule.DSC_PROFILE, not wrong, ", ".join(wrong))

    def _anchored(self, search: Search) -> None:
        if search.found is Issued.UNKNOWN:
            self.note(Rule.ANCHOR, Standing.NOT_ANCHORED, search.detail)
        elif search.found is Issued.UNREADABLE:
            self.note(Rule.ANCHOR, Standing.UNSUPPORTED, search.detail)
        elif search.anchor is None:
            self.note(Rule.ANCHOR, Standing.HOLDS)
            self.note(Rule.DSC_SIGNATURE, Standing.FAILED)
        elif self.check(Rule.ANCHOR, may_sign_certificates(search.anchor), "not a signing authority"):
            self.anchor = search.anchor
            key = read_public_key(search.anchor.public_key_info)
            weak = self.signer.algorithm.weaknesses(key) if self.signer else ()
            self.note(Rule.DSC_SIGNATURE, Standing.WEAK if weak else Standing.HOLDS, " ".join(weak))

    def _validity(self, sod: SecurityFile, signer: ChipCertificate) -> None:
        """The signer was valid when it signed, and its authority when it certified the signer.

        When a chip was signed is known only if the signer says so; then it must fit. Otherwise it was some time between
        the certificate's beginning and now. A signer that has expired by now may have dropped out of its CRLs: weak.
        """
        signed_at, anchor = sod.signer.signing_time, self.anchor
        broken = ""
        if self.at < signer.not_before:
            broken = "not yet valid"
        elif signed_at is not None and not signer.not_before <= signed_at <= min(signer.not_after, self.at):
            broken = "not valid at issuing"
        elif anchor is not None and not anchor.not_before <= signer.not_before <= anchor.not_after:
            broken = "authority not valid at issuing"
        self.expired = self.at > signer.not_after
        if broken:
            self.note(Rule.DSC_VALIDITY, Standing.FAILED, broken)
        elif self.expired or (anchor is not None and self.at > anchor.not_after):
            day = signer.not_after.date().isoformat()
            self.note(
                Rule.DSC_VALIDITY, Standing.WEAK, f"signer expired {day}" if self.expired else "authority expired"
            )
        else:
            self.note(Rule.DSC_VALIDITY, Standing.HOLDS)

    def _country(self, signer: ChipCertificate) -> None:
        if self.mrz is None:
            return
        country = country_of(self.mrz.issuer)
        if country is None:
            self.note(Rule.COUNTRY, Standing.UNSUPPORTED, "issuing state")
            return
        stated = {signer.subject.country} | ({self.anchor.subject.country} if self.anchor else set())
        self.check(Rule.COUNTRY, stated == {country}, "countries differ")
