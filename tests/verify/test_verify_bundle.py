"""The trust bundle: only the one canonical form of what a pinned operator signed is taken."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signing.verify.bundle import Bundle, BundleContents, BundleProblem, read_bundle, read_pin
from signing.verify.bundle_export import export_bundle
from signing.verify.errors import BundleNotMade
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests.programs import run
from tests.verify.conftest import Octets
from tests.verify.verify_world import NOW, World, issue, usage


@pytest.fixture(scope="module")
def made(world: World) -> Octets:
    return Octets(world.bundle())


def rule_of(result: Bundle | BundleProblem) -> str | None:
    return result.reason.rule if isinstance(result, BundleProblem) else None


def test_round_trip(world: World, made: Octets) -> None:
    """What was put in comes out: numbers, dates, certificates, lists, signer."""
    bundle = read_bundle(made.data, frozenset({world.pin}))
    assert isinstance(bundle, Bundle)
    assert bundle.contents.sequence == 7
    assert bundle.contents.anchors == (world.root.certificate,)
    assert len(bundle.evidence) == 3
    assert bundle.signers == (world.pin,)


def test_layout_is_asic_e(made: Octets, tmp_path: object) -> None:
    """mimetype first and stored; manifest and signature where EN 319 162-1 has them; nothing compressed."""
    with zipfile.ZipFile(io.BytesIO(made.data)) as archive:
        entries = archive.infolist()
        assert entries[0].filename == "mimetype"
        assert archive.read("mimetype") == b"application/vnd.etsi.asic-e+zip"
        assert {"META-INF/ASiCManifest001.xml", "META-INF/signature001.p7s", "bundle.json"} <= set(archive.namelist())
        assert all(one.compress_type == zipfile.ZIP_STORED for one in entries)
    assert made.data[30:38] == b"mimetype"


def test_openssl_verifies_the_signature(made: Octets, world: World, tmp_path: object) -> None:
    """An independent program accepts the CAdES signature over the manifest."""
    from pathlib import Path

    folder = Path(str(tmp_path))
    with zipfile.ZipFile(io.BytesIO(made.data)) as archive:
        (folder / "manifest.xml").write_bytes(archive.read("META-INF/ASiCManifest001.xml"))
        (folder / "signature.p7s").write_bytes(archive.read("META-INF/signature001.p7s"))
    (folder / "operator.der").write_bytes(world.operator.der)
    run("openssl", "x509", "-inform", "DER", "-in", folder / "operator.der", "-out", folder / "operator.pem")
    run(
        "openssl", "cms", "-verify", "-cades", "-inform", "DER", "-in", folder / "signature.p7s", "-content",
        folder / "manifest.xml", "-CAfile", folder / "operator.pem", "-purpose", "any", "-binary", "-attime",
        str(int(NOW.timestamp())), "-out", folder / "out",
    )  # fmt: skip


def test_same_contents_same_container(world: World) -> None:
    """Everything but the signature value is the same octets for the same contents."""
    first, second = world.bundle(), world.bundle(crls=())
    with zipfile.ZipFile(io.BytesIO(first)) as one, zipfile.ZipFile(io.BytesIO(second)) as other:
        assert one.getinfo("mimetype").date_time == other.getinfo("mimetype").date_time == (1980, 1, 1, 0, 0, 0)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_flipped_octet_is_refused(made: Octets, world: World, share: float, flip: int) -> None:
    """Whatever octet of the bundle is changed, it is not taken."""
    changed = bytearray(made.data)
    changed[int(share * len(changed))] ^= flip
    assert isinstance(read_bundle(bytes(changed), frozenset({world.pin})), BundleProblem)


def test_the_signature_file_has_no_slack(made: Octets, world: World) -> None:
    """Every octet of the CMS file is bound, those that its signature does not cover too."""
    with zipfile.ZipFile(io.BytesIO(made.data)) as archive:
        signature = archive.read("META-INF/signature001.p7s")
    start = made.data.index(signature)
    for offset in range(len(signature)):
        changed = bytearray(made.data)
        changed[start + offset] ^= 0x01
        assert isinstance(read_bundle(_repaired(bytes(changed)), frozenset({world.pin})), BundleProblem), offset


def _repaired(octets: bytes) -> bytes:
    """The same container with its checksums made right, so that only our own checks can refuse it."""
    from signing.verify.bundle_container import write_container

    files: dict[str, bytes] = {}
    signatures: list[bytes] = []
    with zipfile.ZipFile(io.BytesIO(octets)) as archive:
        for entry in archive.infolist():
            start = entry.header_offset + 30 + len(entry.filename)
            content = octets[start : start + entry.file_size]
            if entry.filename.endswith(".p7s"):
                signatures.append(content)
            elif entry.filename != "mimetype" and not entry.filename.endswith(".xml"):
                files[entry.filename] = content
    return write_container(files, signatures)


def test_changed_contents_with_right_checksums(made: Octets, world: World) -> None:
    """A changed file in a well-formed container is refused by the signature or the index."""
    octets = made.data
    position = octets.index(b'"sequence":7') + len(b'"sequence":')
    changed = octets[:position] + b"9" + octets[position + 1 :]
    assert rule_of(read_bundle(_repaired(changed), frozenset({world.pin}))) == "BND-SIGNATURE"


@pytest.mark.parametrize("what", ["extra", "twice", "comment", "prefix", "tail", "compressed", "missing"])
def test_other_containers(made: Octets, world: World, what: str) -> None:
    """Entries that do not belong, stand twice or are missing; comments, octets around it, compression: refused."""
    octets = made.data
    if what == "prefix":
        octets = b"MZ" + octets
    elif what == "tail":
        octets += b"\x00"
    else:
        output = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(made.data)) as source, zipfile.ZipFile(output, "w") as target:
            for number, entry in enumerate(source.infolist()):
                if what == "missing" and entry.filename.startswith("crls/"):
                    continue
                content = source.read(entry)
                kind = zipfile.ZIP_DEFLATED if what == "compressed" and number else zipfile.ZIP_STORED
                target.writestr(entry, content, kind)
            if what == "extra":
                target.writestr("anchors/readme.txt", b"x")
            if what == "comment":
                target.comment = b"x"
            if what == "twice":
                import warnings

                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    target.writestr(source.infolist()[1], b"{}")
        octets = output.getvalue()
    assert rule_of(read_bundle(octets, frozenset({world.pin}))) == "BND-FORM"


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_noise(data: bytes) -> None:
    """Anything else is a problem, not an exception."""
    assert isinstance(read_bundle(data, frozenset()), BundleProblem)
    assert isinstance(read_bundle(b"PK\x03\x04" + data, frozenset()), BundleProblem)


def test_pins(made: Octets, world: World, signed: bytes) -> None:
    """Without the right pin nothing in it is used; what it claims can be shown."""
    for pins in (frozenset[str](), frozenset({"0" * 64})):
        problem = read_bundle(made.data, pins)
        assert isinstance(problem, BundleProblem)
        assert rule_of(problem) == "BND-PINNED"
        assert problem.claimed is not None
        trust = build_trust(made.data, pins, [], NOW, STRICT)
        assert not trust.anchors
        verdict = verify_file(signed, "a.pdf", trust, NOW)
        assert (verdict.indication, verdict.sub_indication) == ("INDETERMINATE", "BUNDLE_NOT_PINNED")
        assert trust.json()["pinned"] is False
    assert read_pin(":".join(world.pin[at : at + 2].upper() for at in range(0, 64, 2))) == world.pin
    assert read_pin("not a pin") is None


def test_threshold(world: World) -> None:
    """A bundle that asks for two operators is not taken with one pin, nor made with one signature."""
    second = issue("SPECIMEN Second operator", None, [(usage("digital_signature"), True)])
    both = [(one.key, one.certificate) for one in (world.operator, second)]
    octets = world.bundle(threshold=2, signers=both)
    from signing.verify.bundle import fingerprint

    other = fingerprint(second.certificate)
    assert isinstance(read_bundle(octets, frozenset({world.pin, other})), Bundle)
    assert rule_of(read_bundle(octets, frozenset({world.pin}))) == "BND-PINNED"
    with pytest.raises(BundleNotMade):
        world.bundle(threshold=2)


def test_age_sequence_and_clock(made: Octets, world: World, signed: bytes) -> None:
    """Expired, older than the policy allows, rolled back, or from the future: INDETERMINATE, each with its word."""
    pins = frozenset({world.pin})
    cases = [
        (NOW, 7, None, True),
        (NOW, None, None, True),
        (NOW, 8, "BUNDLE_ROLLED_BACK", True),
        (NOW + timedelta(days=14), None, "BUNDLE_STALE", False),
        (NOW - timedelta(days=1, minutes=5), None, "CLOCK_BEFORE_BUNDLE", False),
    ]
    for at, sequence, sub, fresh in cases:
        trust = build_trust(made.data, pins, [], at, STRICT, sequence)
        verdict = verify_file(signed, "a.pdf", trust, at)
        assert trust.fresh is fresh
        assert trust.rollback_checked is (sequence is not None)
        if sub is None:
            assert verdict.indication == "TOTAL-PASSED"
        else:
            assert verdict.indication == "INDETERMINATE"
            assert verdict.sub_indication == sub
            assert verdict.sub_indication.etsi == "TRY_LATER"
    old = build_trust(world.bundle(expires=NOW + timedelta(days=400)), pins, [], NOW + timedelta(days=40), STRICT)
    assert [one.sub_indication for one in old.reasons] == ["BUNDLE_STALE"]


def test_a_stale_bundle_never_hides_a_broken_signature(made: Octets, world: World, signed: bytes) -> None:
    """TOTAL-FAILED stays TOTAL-FAILED whatever is wrong with the bundle."""
    broken = signed.replace(b"SPECIMEN agreement", b"SPECIMEN AGREEMENT", 1)
    at = NOW + timedelta(days=100)
    for pins in (frozenset({world.pin}), frozenset[str]()):
        trust = build_trust(made.data, pins, [], at, STRICT, 99)
        assert verify_file(broken, "a.pdf", trust, at).indication == "TOTAL-FAILED"


def test_foreign_key_is_refused(world: World) -> None:
    """A key that is not the certificate's does not sign a bundle."""
    contents = BundleContents(1, NOW, NOW + timedelta(days=1), True, (world.root.certificate,))
    with pytest.raises(ValueError, match="key"):
        export_bundle(contents, [(world.root.key, world.operator.certificate)])
