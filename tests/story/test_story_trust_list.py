"""The country's trust list, published and used: valid by ETSI's schema, accepted by xmlsec1, and leading to a pass."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from camtrust.cli.main import run
from foundation.x509.algorithms import sign
from signing.trust_list import CA, DEPRECATED, RECOGNISED, Address, ListedService, TrustListContents, signed_list
from signing.verify.model import Reason
from signing.verify.trust_list import read_trust_list
from signing.verify.trust_list_model import TrustList
from tests import programs
from tests.schemas import problems
from tests.story.installation import Installation
from tests.verify.verify_world import NOW, Holder, World, document, issue, usage

SCHEMA = "ts_119612v020301_xsd.xsd"


@pytest.fixture(scope="module")
def operator() -> Holder:
    return issue("SPECIMEN Operator of a list", None, [(usage("digital_signature"), True)])


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def contents(world: World, status: str = RECOGNISED) -> TrustListContents:
    return TrustListContents(
        territory="XX",
        sequence=7,
        issued=NOW - timedelta(days=1),
        next_update=NOW + timedelta(days=30),
        operator={"en": "SPECIMEN Operator"},
        address=Address("-", "Nowhere", "XX", ("mailto:list@example.invalid", "https://example.invalid/")),
        scheme={"en": "SPECIMEN scheme"},
        information="https://example.invalid/scheme",
        notice={"en": "SPECIMEN"},
        provider={"en": "SPECIMEN Provider"},
        services=(ListedService(CA, {"en": "SPECIMEN CA"}, world.root.certificate, status, NOW),),
        location="https://example.invalid/list.xml",
    )


def made(world: World, operator: Holder, status: str = RECOGNISED) -> bytes:
    return signed_list(contents(world, status), operator.certificate, lambda octets: sign(operator.key, octets))


def pin(operator: Holder) -> frozenset[str]:
    return frozenset({operator.certificate.fingerprint(hashes.SHA256()).hex()})


def rule(octets: bytes, pins: frozenset[str], days: int = 0) -> str | None:
    found = read_trust_list(octets, pins, NOW + timedelta(days=days))
    return found.rule if isinstance(found, Reason) else None


def test_the_published_list(assembled: Installation, tmp_path: Path) -> None:
    """Valid by the schema; xmlsec1 verifies it; it names root, CAs and timestamping unit, under the operator's key."""
    assembled.bundle()
    answer = assembled.applicant().http.get("/trust/list.xml")
    assert answer.headers["content-type"] == "application/vnd.etsi.tsl+xml"
    assert problems(answer.content, SCHEMA) == []
    home = assembled.services.home.path
    signer = x509.load_pem_x509_certificate((home / "trust/operator.pem").read_bytes())
    (tmp_path / "list.xml").write_bytes(answer.content)
    (tmp_path / "signer.pem").write_bytes(signer.public_bytes(Encoding.PEM))
    attribute = ("--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties")
    trusted = ("--enabled-key-data", "x509", "--trusted-pem", tmp_path / "signer.pem")
    programs.run("xmlsec1", "--verify", *trusted, *attribute, tmp_path / "list.xml")
    pins = frozenset({signer.fingerprint(hashes.SHA256()).hex()})
    read = read_trust_list(answer.content, pins, assembled.services.clock.now())
    assert isinstance(read, TrustList)
    assert read.territory == "KH"
    names = {one.certificates[0] for one in read.services}
    root = x509.load_pem_x509_certificate((home / "root/root.pem").read_bytes())
    assert root in names
    assert assembled.services.ca.timestamps.certificate() in names
    assert len(read.services) == 4


def test_a_foreign_list_leads_to_a_pass_only_when_it_is_named(
    world: World, operator: Holder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the list the signer is unknown; with the list and its signer named, the verdict passes and says why."""
    (tmp_path / "signed.pdf").write_bytes(world.signed(document()))
    (tmp_path / "list.xml").write_bytes(made(world, operator))
    (name,) = pin(operator)
    words = ["--json", "--home", str(tmp_path / "no"), "verify", str(tmp_path / "signed.pdf")]

    def asked(*more: str) -> dict[str, object]:
        run([*words[:1], *words[3:], *more])
        return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]

    listed = ["--trust-list", str(tmp_path / "list.xml")]
    assert asked()["files"][0]["indication"] == "INDETERMINATE"  # type: ignore[index]
    unpinned = asked(*listed)
    assert unpinned["files"][0]["indication"] == "INDETERMINATE"  # type: ignore[index]
    assert unpinned["bundle"]["trust_lists"][0]["reason"]["rule"] == "TSL-PINNED"  # type: ignore[index]
    passed = asked(*listed, "--list-signer", name)
    assert passed["files"][0]["indication"] == "TOTAL-PASSED"  # type: ignore[index]
    rules = [one["rule"] for one in passed["files"][0]["signatures"][0]["reasons"]]  # type: ignore[index]
    assert "TRUST-LIST" in rules
    assert passed["bundle"]["trust_lists"][0]["anchors"] == 1  # type: ignore[index]


def test_what_is_withdrawn_is_no_anchor(world: World, operator: Holder) -> None:
    """Only what is granted or recognised now."""
    withdrawn = read_trust_list(made(world, operator, DEPRECATED), pin(operator), NOW)
    assert isinstance(withdrawn, TrustList)
    assert withdrawn.anchors() == ()


def test_lists_that_are_not_taken(world: World, operator: Holder) -> None:
    """Changed, unsigned, signed by another, wrapped, stale, from the future, of another version, not a list."""
    good, mine = made(world, operator), pin(operator)
    assert problems(good, SCHEMA) == []
    assert rule(good, mine) is None
    assert rule(good, frozenset()) == "TSL-PINNED"
    assert rule(good, mine, 40) == "TSL-STALE"
    assert rule(good, mine, -3) == "TSL-STALE"
    assert rule(good.replace(b"SPECIMEN CA", b"SPECIMEN XX"), mine) == "TSL-SIGNATURE"
    root = etree.fromstring(good)
    signature = root[-1]
    root.remove(signature)
    assert rule(etree.tostring(root), mine) == "TSL-SIGNATURE"
    evil = etree.fromstring(made(world, issue("SPECIMEN Thief", None, [(usage("digital_signature"), True)])))
    assert rule(etree.tostring(evil), mine) == "TSL-PINNED"
    wrapper = etree.fromstring(etree.tostring(evil))
    wrapper[-1].getparent().remove(wrapper[-1])
    wrapper.append(etree.fromstring(good))  # the good list, hidden inside another
    assert rule(etree.tostring(wrapper), mine) in ("TSL-FORM", "TSL-SIGNATURE")
    twice = etree.fromstring(good)
    twice.append(etree.fromstring(etree.tostring(evil[-1])))
    assert rule(etree.tostring(twice), mine) in ("TSL-FORM", "TSL-SIGNATURE")
    for octets in (b"", b"<a/>", b"<!DOCTYPE a><a/>", good[:-10]):
        assert rule(octets, mine) == "TSL-FORM"


def test_contents_that_no_list_may_have(world: World, operator: Holder) -> None:
    """A list without services, or one that would not be updated within six months."""
    with pytest.raises(ValueError, match="six months"):
        signed_list(dataclasses.replace(contents(world), services=()), operator.certificate, lambda octets: octets)
    late = dataclasses.replace(contents(world), next_update=NOW + timedelta(days=400))
    with pytest.raises(ValueError, match="six months"):
        signed_list(late, operator.certificate, lambda octets: octets)
