"""Country signing authorities: what can be brought, that two officers are needed, and that trust can be taken away."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ekyc.chip import issuer_of
from ekyc.chip.curves import CURVES as _CURVES
from ekyc.chip.master_list import ListRefused, read_master_list
from ekyc.documents import chip_trust
from ekyc.documents.chip_trust import ChipTrust
from ekyc.evidence.errors import (
    AuthorityUnknown,
    CrlNotAnchored,
    SecondOfficerNeeded,
    TrustDigestDiffers,
    TrustFileInvalid,
    TrustImportDecided,
    TrustImportUnknown,
)
from foundation.x509 import der
from tests.ekyc.chip_parties import Method, Party, authority, crl, document_signer, ec_key, explicit_info, point_of
from tests.ekyc.chip_specimen import chip
from tests.ekyc.master_lists import list_signer, master_list
from tests.ekyc.story import KEEPERS, World

ONE, TWO = KEEPERS


def trusted(trust: ChipTrust, data: bytes) -> str:
    """Bring and approve a file, by two officers; gives the import's id."""
    brought = trust.bring(ONE, data)
    trust.decide(TWO, brought.id, hashlib.sha256(data).hexdigest(), approve=True)
    return brought.id


def name_of(party: Party) -> str:
    found = issuer_of(chip(document_signer(party), party).files["EF.SOD"])
    assert found is not None
    return found


def test_a_certificate_counts_after_the_second_officer(both_worlds: World) -> None:
    """Brought, it is pending and anchors nothing; approved by another officer, it is an anchor."""
    trust, issuer = both_worlds.service.chip_trust, authority()
    brought = trust.bring(ONE, issuer.certificate)
    assert (brought.kind, brought.state, brought.imported_by) == ("certificate", "pending", str(ONE))
    assert trust.anchors(name_of(issuer)) == ()
    decided = trust.decide(TWO, brought.id, brought.digest, approve=True)
    assert (decided.state, decided.decided_by) == ("approved", str(TWO))
    assert trust.anchors(name_of(issuer)) == (issuer.certificate,)
    assert [one.certificate.raw for one in trust.trusted(None, 10)] == [issuer.certificate]
    with pytest.raises(TrustImportDecided):
        trust.decide(TWO, brought.id, brought.digest, approve=False)


@pytest.mark.parametrize("control", ["on", "off"])
def test_nobody_approves_what_they_brought(world: World, monkeypatch: pytest.MonkeyPatch, control: str) -> None:
    """Neither the officer, nor the same person under another officer's name; with the control off both could."""
    trust, issuer = world.service.chip_trust, authority()
    world.staff.persons |= {ONE.id: "KH-SAME", TWO.id: "KH-SAME"}
    brought = trust.bring(ONE, issuer.certificate)
    if control == "off":
        monkeypatch.setattr(ChipTrust, "_same", lambda *_: False)
        assert trust.decide(ONE, brought.id, brought.digest, approve=True).state == "approved"
        return
    for officer in (ONE, TWO):
        with pytest.raises(SecondOfficerNeeded):
            trust.decide(officer, brought.id, brought.digest, approve=True)
    assert trust.anchors(name_of(issuer)) == ()
    assert trust.decide(ONE, brought.id, brought.digest, approve=False).state == "rejected"
    assert trust.anchors(name_of(issuer)) == ()


def test_an_officer_approves_the_file_that_they_hold(world: World) -> None:
    """By its digest: another file under the same id is not approved; an unknown import is not there."""
    trust = world.service.chip_trust
    brought = trust.bring(ONE, authority().certificate)
    with pytest.raises(TrustDigestDiffers):
        trust.decide(TWO, brought.id, hashlib.sha256(b"another file").hexdigest(), approve=True)
    with pytest.raises(TrustImportUnknown):
        trust.decide(TWO, "TRU-" + "A" * 16, brought.digest, approve=True)


def test_of_two_decisions_at_once_one_holds(both_worlds: World) -> None:
    """An approval and a rejection that race: one is made, the other told."""
    trust = both_worlds.service.chip_trust
    brought = trust.bring(ONE, authority().certificate)

    def decide(approve: bool) -> str:
        try:
            return trust.decide(TWO, brought.id, brought.digest, approve=approve).state
        except TrustImportDecided:
            return "decided"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(decide, [True, False, True, False]))
    assert outcomes.count("decided") == 3
    assert trust.show(brought.id).state in ("approved", "rejected")


def test_a_master_list_is_read_and_approved_whole(world: World) -> None:
    """Its signer is told; entries that are no authorities are counted and left out."""
    trust = world.service.chip_trust
    first, second = authority(), authority(ec_key(ec.SECP384R1, "csca-th"), country="TH")
    stray = document_signer(first).certificate
    data = master_list([first.certificate, second.certificate, stray])
    brought = trust.bring(ONE, data)
    assert (brought.kind, brought.unreadable, len(brought.authorities)) == ("master-list", 1, 2)
    assert brought.signer is not None
    assert brought.signer.subject.country == "KH"
    trust.decide(TWO, brought.id, hashlib.sha256(data).hexdigest(), approve=True)
    assert {one.certificate.subject.country for one in trust.trusted(None, 10)} == {"KH", "TH"}
    again = trust.bring(TWO, data)
    assert len(again.known) == 2


def test_explicit_curves_and_pem_are_read(world: World) -> None:
    """A certificate with its curve stated in full, and one as PEM."""
    trust = world.service.chip_trust
    key = ec_key(ec.SECP384R1, "csca")
    curve = next(one for one in _CURVES if one.name == "secp384r1")
    full = authority(key, info=explicit_info(curve, point_of(key)))
    assert trust.bring(ONE, full.certificate).state == "pending"
    plain = authority().certificate
    pem = x509.load_der_x509_certificate(plain).public_bytes(Encoding.PEM)
    brought = trust.bring(ONE, pem)
    assert brought.digest == hashlib.sha256(pem).hexdigest()
    assert [one.raw for one in brought.authorities] == [plain]


def _forged_curve() -> bytes:
    key = ec_key(ec.SECP384R1, "csca")
    curve = next(one for one in _CURVES if one.name == "secp384r1")
    return authority(key, info=explicit_info(curve, point_of(key), generator=point_of(key))).certificate


def _deep() -> bytes:
    nested = b"\x05\x00"
    for _ in range(2000):
        nested = der.sequence([nested])
    return nested


def _changed_certificate() -> bytes:
    changed = bytearray(authority().certificate)
    changed[-1] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a certificate",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        document_signer(authority()).certificate,
        _changed_certificate(),
        _forged_curve(),
        _deep(),
        master_list([authority().certificate], changed=True),
        master_list([authority().certificate], list_signer(purpose=b"")),
        master_list([authority().certificate], content_type="2.23.136.1.1.1"),
        master_list([authority().certificate], version=7),
        authority().certificate + b"trailing",
        master_list([authority().certificate]) + b"trailing",
    ],
    ids=[
        "empty", "text", "broken-pem", "document-signer", "changed", "forged-curve", "depth-bomb", "list-changed",
        "list-signer-without-purpose", "other-content", "version", "certificate-trailing", "list-trailing",
    ],
)  # fmt: skip
def test_what_proves_no_authority_cannot_be_brought(world: World, data: bytes) -> None:
    """Nothing of it is kept, and no officer gets to see it."""
    with pytest.raises(TrustFileInvalid) as refused:
        world.service.chip_trust.bring(ONE, data)
    assert refused.value.params["problem"]
    assert world.service.chip_trust.imports(None, 10) == ()


def test_a_list_without_its_signature_check_would_be_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with the signature's check off, the changed list is read."""
    changed = master_list([authority().certificate], changed=True)
    with pytest.raises(ListRefused, match="signature"):
        read_master_list(changed)
    monkeypatch.setattr("ekyc.chip.sod.SecurityFile.signature_holds", lambda *_: True)
    assert read_master_list(changed).authorities


def test_a_weak_list_is_refused() -> None:
    """SHA-1 shows nobody who made a list."""
    signer = list_signer()
    weak = Party(signer.key, signer.name, signer.certificate, signer.serial, Method("sha1"))
    with pytest.raises(ListRefused, match="weak"):
        read_master_list(master_list([authority().certificate], weak))


def test_trust_is_taken_away_at_once(world: World) -> None:
    """One officer is enough; bringing it again does not bring it back."""
    trust, issuer = world.service.chip_trust, authority()
    trusted(trust, issuer.certificate)
    sha256 = hashlib.sha256(issuer.certificate).hexdigest()
    trust.withdraw(TWO, sha256)
    trust.withdraw(TWO, sha256)
    assert trust.anchors(name_of(issuer)) == ()
    trusted(trust, issuer.certificate)
    assert trust.anchors(name_of(issuer)) == ()
    with pytest.raises(AuthorityUnknown):
        trust.withdraw(TWO, "0" * 64)


def test_a_crl_needs_an_approved_authority(both_worlds: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nobody, of a rogue with the same name, or changed: refused. Of the authority: kept, once."""
    trust, issuer = both_worlds.service.chip_trust, authority()
    rogue = authority(ec_key(ec.SECP384R1, "rogue"))
    with pytest.raises(CrlNotAnchored):
        trust.bring_crl(ONE, crl(issuer))
    trusted(trust, issuer.certificate)
    changed = bytearray(crl(issuer))
    changed[-1] ^= 1
    for wrong in (crl(rogue), bytes(changed), b"", b"not a CRL", issuer.certificate):
        with pytest.raises(CrlNotAnchored):
            trust.bring_crl(ONE, wrong)
    good = crl(issuer, [77])
    assert trust.bring_crl(ONE, good) == trust.bring_crl(ONE, good)
    assert trust.crls(name_of(issuer)) == (good,)
    monkeypatch.setattr(chip_trust, "_KEPT_CRLS", 1)
    trust.bring_crl(ONE, crl(issuer))
    assert len(trust.crls(name_of(issuer))) == 1


def test_over_http(world: World) -> None:
    """The officers' way: brought as octets, looked at, approved by digest, listed, withdrawn."""
    client, data = world.client(), master_list([authority().certificate])
    one, two = ({"Authorization": f"Staff keeper-{n}"} for n in (1, 2))
    brought = client.post("/ekyc/v1/chip-trust/imports", content=data, headers=one)
    assert brought.status_code == 201, brought.text
    path = f"/ekyc/v1/chip-trust/imports/{brought.json()['id']}"
    assert client.get("/ekyc/v1/chip-trust/imports?state=pending", headers=two).json() == [brought.json()["id"]]
    assert client.get(path, headers=two).json() == brought.json()
    word = {"decision": "approve", "digest": hashlib.sha256(data).hexdigest()}
    own = client.post(f"{path}/decision", json=word, headers=one)
    assert (own.status_code, own.json()["code"]) == (403, "ekyc.second_officer_needed")
    assert client.post(f"{path}/decision", json=word, headers=two).json()["state"] == "approved"
    listed = client.get("/ekyc/v1/chip-trust/authorities", headers=two).json()
    assert [item["country"] for item in listed] == ["KH"]
    kept = client.post("/ekyc/v1/chip-trust/crls", content=crl(authority()), headers=one)
    assert kept.status_code == 201, kept.text
    gone = client.delete(f"/ekyc/v1/chip-trust/authorities/{listed[0]['sha256']}", headers=one)
    assert gone.status_code == 204
    assert client.get("/ekyc/v1/chip-trust/authorities", headers=two).json()[0]["withdrawn_at"]
    refused = client.post("/ekyc/v1/chip-trust/imports", content=b"nothing", headers=one)
    assert (refused.status_code, refused.json()["code"]) == (422, "ekyc.trust_file_invalid")
    assert client.get("/ekyc/v1/chip-trust/imports", headers={"Authorization": "Staff officer"}).status_code == 403
