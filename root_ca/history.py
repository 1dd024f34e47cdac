"""Rules that look at an act in the light of the acts before it; `check` and `verify` both hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.x509.names import same_name, subject_name
from root_ca.building import CRL_CPS
from root_ca.model import Ceremony, RevokedPart, RootCrlAct, SubordinateAct


def certificate_rules(
    act: SubordinateAct, public_key: CertificatePublicKeyTypes, before: Sequence[x509.Certificate]
) -> Iterator[tuple[str, str]]:
    """Broken rules of a subordinate act; ``before`` holds the root and everything that it certified."""
    key = _bits(public_key)
    if any(_bits(certificate.public_key()) == key for certificate in before):
        yield "ROOT-KEY-DISTINCT", "this key has a certificate of this root already"
    if same_name(subject_name(act.certificate.subject), before[0].subject):
        yield "ROOT-NAME-DISTINCT", "the subject is that of the root"


def crl_rules(
    act: RootCrlAct, before: Sequence[Ceremony], certificates: Sequence[x509.Certificate]
) -> Iterator[tuple[str, str]]:
    """Broken rules of a root-crl act; ``certificates`` holds the root first, then what it certified."""
    part, root = act.crl, certificates[0]
    earlier = [one.act.crl for one in before if isinstance(one.act, RootCrlAct)]
    if earlier and part.number <= max(one.number for one in earlier):
        yield "ROOT-CRL-NUMBER", f"{part.number} is not larger than {max(one.number for one in earlier)}"
    if part.cps != CRL_CPS:
        yield "ROOT-PROFILE", f"the file cites {part.cps}, CRLs follow {CRL_CPS}"
    if not part.this_update < part.next_update <= twelve_months_after(part.this_update):
        yield "ROOT-CRL-PERIOD", "the next update is not after this one and at most 12 months later"
    if earlier and part.this_update <= earlier[-1].this_update:
        yield "ROOT-CRL-PERIOD", "this update is not later than that of the CRL before"
    if part.this_update < root.not_valid_before_utc or part.next_update > root.not_valid_after_utc:
        yield "ROOT-CRL-PERIOD", "the CRL is not within the validity of the root"
    yield from _revoked_rules(part.revoked, part.this_update, earlier[-1].revoked if earlier else (), certificates[1:])


def _revoked_rules(
    revoked: Sequence[RevokedPart],
    this_update: datetime,
    earlier: Sequence[RevokedPart],
    issued: Sequence[x509.Certificate],
) -> Iterator[tuple[str, str]]:
    serials = [int(item.serial, 16) for item in revoked]
    if len(set(serials)) != len(serials):
        yield "ROOT-CRL-REVOKED", "a certificate stands in it twice"
    if unknown := set(serials) - {certificate.serial_number for certificate in issued}:
        yield "ROOT-CRL-REVOKED", f"this root never issued {', '.join(f'{serial:x}' for serial in sorted(unknown))}"
    if any(item.revoked_at > this_update for item in revoked):
        yield "ROOT-CRL-REVOKED", "a revocation is later than the CRL"
    given = {int(item.serial, 16): item for item in revoked}
    if any(given.get(int(item.serial, 16)) != item for item in earlier):
        yield "ROOT-CRL-REVOKED", "a revocation of the CRL before is missing or changed"


def twelve_months_after(moment: datetime) -> datetime:
    """The same day a year later; the 29th of February gives the 28th."""
    day = 28 if (moment.month, moment.day) == (2, 29) else moment.day
    return moment.replace(year=moment.year + 1, day=day)


def _bits(public_key: CertificatePublicKeyTypes) -> bytes:
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
