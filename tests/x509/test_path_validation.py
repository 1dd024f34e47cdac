"""Certification paths (RFC 5280 §6.1): each rule refuses what it must, and nothing else."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from datetime import timedelta

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtensionOID, NameOID

from foundation.x509.path import (
    CertificatePath,
    NoPath,
    PathRule,
    PathRules,
    TrustAnchor,
    find_path,
)
from tests import programs
from tests.verify.verify_world import (
    NOW,
    SIGNER_EXTENSIONS,
    YEAR,
    Extension,
    Holder,
    ca_extensions,
    issue,
    name,
    policies,
    usage,
)

LEAF: list[Extension] = [(usage("digital_signature"), True)]


@pytest.fixture(scope="module")
def root() -> Holder:
    return issue("SPECIMEN Root", None, ca_extensions(), not_before=NOW - 9 * YEAR, not_after=NOW + 9 * YEAR)


@pytest.fixture(scope="module")
def middle(root: Holder) -> Holder:
    return issue("SPECIMEN CA", root, ca_extensions())


def path(
    leaf: Holder,
    pool: Sequence[Holder],
    anchors: Sequence[Holder],
    rules: PathRules | None = None,
    at: object = NOW,
) -> CertificatePath | NoPath:
    return find_path(
        leaf.certificate,
        [one.certificate for one in pool],
        [TrustAnchor(one.certificate, "bundle") for one in anchors],
        at,  # type: ignore[arg-type]
        rules,
    )


def broken(result: CertificatePath | NoPath) -> set[PathRule]:
    assert isinstance(result, NoPath)
    assert all(one.clause.startswith("RFC 5280") for one in result.failures)
    return {one.rule for one in result.failures}


def test_a_good_path(root: Holder, middle: Holder) -> None:
    """Target first, anchor last; valid for the policies that all certificates state."""
    leaf = issue("SPECIMEN Leaf", middle, LEAF)
    result = path(leaf, [middle], [root])
    assert isinstance(result, CertificatePath)
    assert result.certificates == (leaf.certificate, middle.certificate, root.certificate)
    assert result.anchor.source == "bundle"


def test_openssl_agrees(root: Holder, middle: Holder, tmp_path: object) -> None:
    """OpenSSL takes the same path, so that the specimens themselves are sound."""
    from pathlib import Path

    from foundation.x509.pem import certificate_pem

    folder = Path(str(tmp_path))
    leaf = issue("SPECIMEN Leaf", middle, SIGNER_EXTENSIONS)
    for file, one in (("root", root), ("middle", middle), ("leaf", leaf)):
        (folder / file).write_bytes(certificate_pem(one.certificate))
    programs.run(
        "openssl", "verify", "-attime", str(int(NOW.timestamp())), "-CAfile", folder / "root", "-untrusted",
        folder / "middle", folder / "leaf",
    )  # fmt: skip


def test_an_anchor_is_a_path_of_one(root: Holder) -> None:
    """A target that is trusted itself needs nothing above it."""
    result = path(root, [], [root])
    assert isinstance(result, CertificatePath)
    assert len(result.certificates) == 1


def test_no_issuer(root: Holder, middle: Holder) -> None:
    """Nothing above, or nothing that is trusted: no path."""
    leaf = issue("SPECIMEN Leaf", middle, LEAF)
    assert broken(path(leaf, [], [root])) == {PathRule.NO_ISSUER}
    assert broken(path(leaf, [middle, root], [])) == {PathRule.NO_ISSUER}


def test_signature(root: Holder, middle: Holder) -> None:
    """A certificate with the issuer's name and another issuer's signature."""
    stranger = issue("SPECIMEN CA", root, ca_extensions())
    leaf = issue("SPECIMEN Leaf", stranger, LEAF)
    assert PathRule.SIGNATURE in broken(path(leaf, [middle], [root]))
    assert isinstance(path(leaf, [middle, stranger], [root]), CertificatePath)


def test_validity_of_every_certificate(root: Holder) -> None:
    """Target, intermediate and anchor: each must be valid at the time asked, both ends included."""
    middle = issue("SPECIMEN CA", root, ca_extensions(), not_after=NOW)
    leaf = issue("SPECIMEN Leaf", middle, LEAF, not_before=NOW - YEAR, not_after=NOW + YEAR)
    assert isinstance(path(leaf, [middle], [root]), CertificatePath)
    assert isinstance(path(leaf, [middle], [root], at=NOW - YEAR), CertificatePath)
    assert broken(path(leaf, [middle], [root], at=NOW + timedelta(seconds=1))) == {PathRule.EXPIRED}
    assert broken(path(leaf, [middle], [root], at=NOW - YEAR - timedelta(seconds=1))) == {PathRule.NOT_YET_VALID}
    old_root = issue("SPECIMEN Old Root", None, ca_extensions(), not_after=NOW - timedelta(days=1))
    child = issue("SPECIMEN Leaf", old_root, LEAF)
    assert broken(path(child, [], [old_root])) == {PathRule.EXPIRED}


def test_ca_and_key_usage(root: Holder) -> None:
    """Only a CA with keyCertSign certifies; a certificate without basicConstraints is none."""
    cases: list[tuple[list[Extension], PathRule]] = [
        ([(usage("key_cert_sign"), True)], PathRule.NOT_CA),
        ([(x509.BasicConstraints(ca=False, path_length=None), True)], PathRule.NOT_CA),
        (
            [(x509.BasicConstraints(ca=True, path_length=None), True), (usage("digital_signature"), True)],
            PathRule.KEY_USAGE,
        ),
    ]
    for extensions, rule in cases:
        middle = issue("SPECIMEN CA", root, extensions)
        assert rule in broken(path(issue("SPECIMEN Leaf", middle, LEAF), [middle], [root]))


def test_path_length(root: Holder) -> None:
    """pathLenConstraint counts CA certificates below, self-issued ones aside, and the anchor's counts too."""
    first = issue("SPECIMEN CA 1", root, ca_extensions(0))
    second = issue("SPECIMEN CA 2", first, ca_extensions())
    leaf = issue("SPECIMEN Leaf", second, LEAF)
    assert broken(path(leaf, [first, second], [root])) == {PathRule.LENGTH}
    assert isinstance(path(issue("SPECIMEN Leaf", first, LEAF), [first], [root]), CertificatePath)
    renewed = issue("SPECIMEN CA 1", first, ca_extensions(0))  # self-issued: the same name, a new key
    below = issue("SPECIMEN Leaf", renewed, LEAF)
    assert isinstance(path(below, [first, renewed], [root]), CertificatePath)
    tight = issue("SPECIMEN Tight Root", None, ca_extensions(0))
    inner = issue("SPECIMEN CA 3", tight, ca_extensions())
    assert broken(path(issue("SPECIMEN Leaf", inner, LEAF), [inner], [tight])) == {PathRule.LENGTH}


def test_critical_and_unreadable_extensions(root: Holder, middle: Holder) -> None:
    """An unknown critical extension is refused anywhere; one that is not critical is passed over."""
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.999.5"), b"\x05\x00")
    for critical in (True, False):
        leaf = issue("SPECIMEN Leaf", middle, [*LEAF, (odd, critical)])
        result = path(leaf, [middle], [root])
        assert (broken(result) == {PathRule.CRITICAL}) if critical else isinstance(result, CertificatePath)
    broken_extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.15"), b"\x04\x01\x00")
    leaf = issue("SPECIMEN Leaf", middle, [(broken_extension, False)])
    assert broken(path(leaf, [middle], [root])) == {PathRule.EXTENSION}


def test_duplicate_extension(root: Holder, middle: Holder) -> None:
    """The same extension twice: which one counts is anybody's guess, so neither does."""
    from foundation.x509 import der
    from foundation.x509.algorithms import sign

    basic = issue("SPECIMEN Leaf", middle, [(x509.SubjectKeyIdentifier(b"one"), False)]).certificate
    tbs = list(der.children(basic.tbs_certificate_bytes))
    (listed,) = der.children(tbs[-1])
    (extension,) = der.children(listed)
    tbs[-1] = der.explicit(3, der.sequence([extension, extension]))
    body = der.sequence(tbs)
    algorithm = der.children(basic.public_bytes(_der()))[1]
    made = der.sequence([body, algorithm, der.bit_string(sign(middle.key, body))])
    twice = x509.load_der_x509_certificate(made)
    result = find_path(twice, [middle.certificate], [TrustAnchor(root.certificate, "bundle")], NOW)
    assert broken(result) == {PathRule.DUPLICATE}


def _der() -> object:
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.DER


def _constrained(root: Holder, **subtrees: Sequence[x509.GeneralName]) -> Holder:
    constraints = x509.NameConstraints(subtrees.get("permitted"), subtrees.get("excluded"))
    return issue("SPECIMEN CA", root, [*ca_extensions(), (constraints, True)])


DIRECTORY = x509.DirectoryName(
    x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "KH"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "specimen  CAMTRUST"),
        ]
    )
)
ELSEWHERE = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "XX")]))


@pytest.mark.parametrize(
    ("permitted", "inside", "outside"),
    [
        (x509.DNSName("example.kh"), x509.DNSName("a.example.kh"), x509.DNSName("badexample.kh")),
        (x509.DNSName("example.kh"), x509.DNSName("EXAMPLE.kh"), x509.DNSName("kh")),
        (x509.RFC822Name("example.kh"), x509.RFC822Name("a@example.kh"), x509.RFC822Name("a@b.example.kh")),
        (x509.RFC822Name(".example.kh"), x509.RFC822Name("a@b.example.kh"), x509.RFC822Name("a@example.kh")),
        (x509.RFC822Name("a@example.kh"), x509.RFC822Name("a@EXAMPLE.kh"), x509.RFC822Name("b@example.kh")),
        (
            x509.UniformResourceIdentifier(".example.kh"),
            x509.UniformResourceIdentifier("https://u@a.example.kh:8/x?y"),
            x509.UniformResourceIdentifier("https://example.kh/a.example.kh"),
        ),
        (
            x509.UniformResourceIdentifier("example.kh"),
            x509.UniformResourceIdentifier("https://example.kh/"),
            x509.UniformResourceIdentifier("https://192.0.2.1/"),
        ),
        (
            x509.IPAddress(ipaddress.ip_network("192.0.2.0/25")),
            x509.IPAddress(ipaddress.ip_address("192.0.2.127")),
            x509.IPAddress(ipaddress.ip_address("192.0.2.128")),
        ),
        (
            x509.IPAddress(ipaddress.ip_network("2001:db8::/48")),
            x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
            x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
        ),
        (DIRECTORY, x509.DirectoryName(name("SPECIMEN A")), ELSEWHERE),
    ],
)
def test_name_constraints(
    root: Holder, permitted: x509.GeneralName, inside: x509.GeneralName, outside: x509.GeneralName
) -> None:
    """Of every type: a name within passes, one without is refused; the same subtree excluded turns it round."""
    good = [*LEAF, (x509.SubjectAlternativeName([inside]), False)]
    bad = [*LEAF, (x509.SubjectAlternativeName([outside]), False)]
    allowing = _constrained(root, permitted=[permitted])
    assert isinstance(path(issue("SPECIMEN A", allowing, good), [allowing], [root]), CertificatePath)
    assert broken(path(issue("SPECIMEN A", allowing, bad), [allowing], [root])) == {PathRule.NAME_CONSTRAINTS}
    if permitted is not DIRECTORY:  # that one is about the subject too
        forbidding = _constrained(root, excluded=[permitted])
        assert broken(path(issue("SPECIMEN A", forbidding, good), [forbidding], [root])) == {PathRule.NAME_CONSTRAINTS}


def test_name_constraints_on_subjects_and_of_unknown_types(root: Holder) -> None:
    """Subjects and e-mail addresses in them are names too; a type that is not understood is refused."""
    kept_out = _constrained(root, permitted=[ELSEWHERE])
    assert broken(path(issue("SPECIMEN A", kept_out, LEAF), [kept_out], [root])) == {PathRule.NAME_CONSTRAINTS}
    mail = _constrained(root, permitted=[x509.RFC822Name("example.kh")])
    subject = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@elsewhere.kh")])
    assert broken(path(issue(subject, mail, LEAF), [mail], [root])) == {PathRule.NAME_CONSTRAINTS}
    other = _constrained(root, permitted=[x509.RegisteredID(x509.ObjectIdentifier("2.999.1"))])
    assert broken(path(issue("SPECIMEN A", other, LEAF), [other], [root])) == {PathRule.NAME_CONSTRAINTS}
    narrow = _constrained(root, permitted=[x509.DNSName("example.kh")])
    wide = issue("SPECIMEN CA 2", narrow, [*ca_extensions(), (x509.NameConstraints([x509.DNSName("kh")], None), True)])
    leaf = issue("SPECIMEN A", wide, [*LEAF, (x509.SubjectAlternativeName([x509.DNSName("other.kh")]), False)])
    assert broken(path(leaf, [narrow, wide], [root])) == {PathRule.NAME_CONSTRAINTS}


def test_policies(root: Holder) -> None:
    """A policy that is asked for must stand in every certificate of the path, by name or as anyPolicy."""
    wanted = PathRules(required_policies=frozenset({"2.999.116.1.1"}))
    any_policy = "2.5.29.32.0"
    cases = [
        ([policies("2.999.116.1.1")], [policies("2.999.116.1.1")], True),
        ([policies(any_policy)], [policies("2.999.116.1.1")], True),
        ([policies("2.999.116.1.2")], [policies("2.999.116.1.1")], False),
        ([policies("2.999.116.1.1")], [], False),
        ([], [policies("2.999.116.1.1")], False),
        (
            [policies(any_policy), (x509.InhibitAnyPolicy(0), True)],
            [policies(any_policy)],
            False,
        ),
    ]
    for above, below, good in cases:
        middle = issue("SPECIMEN CA", root, [*ca_extensions(), *above])
        leaf = issue("SPECIMEN Leaf", middle, [*LEAF, *below])
        assert isinstance(path(leaf, [middle], [root], wanted), CertificatePath) is good
        assert isinstance(path(leaf, [middle], [root]), CertificatePath)


def _mapping(*pairs: str) -> tuple[x509.ExtensionType, bool]:
    """policyMappings: issuerDomainPolicy, subjectDomainPolicy, and so on."""
    entries = [
        {"issuer_domain_policy": above, "subject_domain_policy": below}
        for above, below in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    octets = asn1_x509.PolicyMappings(entries).dump()
    return x509.UnrecognizedExtension(ExtensionOID.POLICY_MAPPINGS, octets), False


def test_policies_that_a_ca_demands(root: Holder) -> None:
    """requireExplicitPolicy refuses a path without a common policy; a mapping lets another stand for it."""
    demand = (x509.PolicyConstraints(require_explicit_policy=0, inhibit_policy_mapping=None), True)
    middle = issue("SPECIMEN CA", root, [*ca_extensions(), policies("2.999.1"), demand])
    assert broken(path(issue("SPECIMEN Leaf", middle, LEAF), [middle], [root])) == {PathRule.POLICY}
    assert isinstance(
        path(issue("SPECIMEN Leaf", middle, [*LEAF, policies("2.999.1")]), [middle], [root]), CertificatePath
    )
    mapped = issue("SPECIMEN CA", root, [*ca_extensions(), policies("2.999.1"), demand, _mapping("2.999.1", "2.999.2")])
    other = issue("SPECIMEN Leaf", mapped, [*LEAF, policies("2.999.2")])
    assert path(other, [mapped], [root]).policies == {"2.999.1"}
    assert broken(path(issue("SPECIMEN Leaf", mapped, [*LEAF, policies("2.999.1")]), [mapped], [root])) == {
        PathRule.POLICY
    }
    refused = PathRules(inhibit_policy_mapping=True)
    assert broken(path(other, [mapped], [root], refused)) == {PathRule.POLICY}


def test_any_policy_is_never_mapped(root: Holder) -> None:
    """RFC 5280 §6.1.4 (a): a mapping from or to anyPolicy, and one that cannot be read, break the path."""
    any_policy = "2.5.29.32.0"
    unreadable = (x509.UnrecognizedExtension(ExtensionOID.POLICY_MAPPINGS, b"\x30\x03\x02\x01\x01"), False)
    for mapping in (_mapping(any_policy, "2.999.2"), _mapping("2.999.1", any_policy), unreadable):
        middle = issue("SPECIMEN CA", root, [*ca_extensions(), policies("2.999.1"), mapping])
        leaf = issue("SPECIMEN Leaf", middle, [*LEAF, policies("2.999.1")])
        assert broken(path(leaf, [middle], [root])) == {PathRule.POLICY_MAPPING}


def test_hostile_mappings_do_not_grow(root: Holder) -> None:
    """RFC 9618 §3: mappings of everything to everything, level upon level, end at once."""
    everything = [f"2.999.{number}" for number in range(40)]
    mappings = _mapping(*[one for above in everything for below in everything for one in (above, below)])
    chain = [root]
    for number in range(6):
        chain.append(issue(f"SPECIMEN CA {number}", chain[-1], [*ca_extensions(), policies(*everything), mappings]))
    leaf = issue("SPECIMEN Leaf", chain[-1], [*LEAF, policies(*everything)])
    found = path(leaf, chain[1:], [root], PathRules(required_policies=frozenset({everything[0]}), max_depth=12))
    assert isinstance(found, CertificatePath)


def test_weak_keys(root: Holder) -> None:
    """An issuer with a key that is too small is refused."""
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    middle = issue("SPECIMEN CA", root, ca_extensions(), key=weak)
    assert broken(path(issue("SPECIMEN Leaf", middle, LEAF), [middle], [root])) == {PathRule.ALGORITHM}


def test_names_match_without_regard_to_case_and_space(root: Holder) -> None:
    """RFC 5280 §7.1: an issuer name that differs in case and white space alone is the same name."""
    middle = issue("SPECIMEN CA", root, ca_extensions())
    leaf = issue("SPECIMEN Leaf", middle, LEAF, issuer_name=name("specimen   ca"))
    assert isinstance(path(leaf, [middle], [root]), CertificatePath)


def test_loops_and_floods_end(root: Holder) -> None:
    """Certificates that certify each other, and hundreds of the same name, end within the bounds."""
    one = issue("SPECIMEN Loop 1", None, ca_extensions())
    two = issue("SPECIMEN Loop 2", one, ca_extensions())
    back = issue("SPECIMEN Loop 1", two, ca_extensions(), key=one.key)
    leaf = issue("SPECIMEN Leaf", two, LEAF)
    assert isinstance(path(leaf, [one, two, back], [root]), NoPath)
    flood = [issue("SPECIMEN Flood", None, ca_extensions(), serial=number) for number in range(1, 60)]
    victim = issue("SPECIMEN Leaf", flood[0], LEAF)
    assert isinstance(path(victim, flood, [root]), NoPath)


def test_the_pool_in_any_order(root: Holder, middle: Holder) -> None:
    """Whatever lies in the pool, in whatever order, the good path is found."""
    leaf = issue("SPECIMEN Leaf", middle, LEAF)
    others = [issue("SPECIMEN CA", None, ca_extensions()) for _ in range(8)]
    shuffle = random.Random(3)  # noqa: S311
    for _ in range(10):
        pool = [middle, root, leaf, *others]
        shuffle.shuffle(pool)
        assert isinstance(path(leaf, pool, [root, *others[:2]]), CertificatePath)
