"""What is a specimen says so, wherever that shows: a policy, an authority's name, the bundle; and the real does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from foundation import arc
from signing.verify.model import FileVerdict, Indication
from signing.verify.policy import STRICT
from signing.verify.trust import build_trust
from signing.verify.verdict import verify_file
from tests.verify import verify_world
from tests.verify.outcomes import outcome, rules
from tests.verify.verify_world import NOW, SIGNER_EXTENSIONS, World, document, issue, policies

OWN = "2.16.116.99999.1.1.2"
Names = Callable[[str], x509.Name]


def real_name(common_name: str) -> x509.Name:
    """A name that does not say SPECIMEN."""
    pairs = [(NameOID.COUNTRY_NAME, "KH"), (NameOID.ORGANIZATION_NAME, "Organisation of the tests")]
    pairs.append((NameOID.COMMON_NAME, common_name.replace("SPECIMEN ", "")))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])


def with_specimen(word: str) -> Names:
    """Real names, but for the one that ends with ``word``."""
    before = verify_world.name
    return lambda common_name: before(common_name) if common_name.endswith(word) else real_name(common_name)


def judged(patch: pytest.MonkeyPatch, names: Names, *dotted: str, bundle_of_specimens: bool = False) -> FileVerdict:
    """The verdict on a good B-LT document of a world with these names, whose signer has these policies."""
    patch.setattr(verify_world, "name", names)
    world = World()
    world.signer = issue("SPECIMEN Signer", world.issuing, [*SIGNER_EXTENSIONS[:-1], policies(*dotted)])
    bundle = world.bundle(specimen=bundle_of_specimens)
    trust = build_trust(bundle, frozenset({world.pin}), [], NOW, STRICT)
    return verify_file(world.signed(document("agreement")), "a.pdf", trust, NOW)


def test_below_an_operator_s_arc_nothing_says_specimen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verifier knows that arc from nowhere: what is not an example, below no specimen, is none."""
    verdict = judged(monkeypatch, real_name, OWN)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert not verdict.specimen
    assert "SPECIMEN" not in rules(verdict)


@pytest.mark.parametrize(
    ("names", "dotted", "bundle"),
    [
        (real_name, "2.999.116.1.1.2", False),
        (real_name, "2.999.5.1", False),
        (with_specimen("Root"), OWN, False),
        (with_specimen("Issuing CA"), OWN, False),
        (real_name, OWN, True),
    ],
    ids=["policy", "another example policy", "root", "issuing CA", "bundle"],
)
def test_a_specimen_is_told_by_each_of_its_marks_alone(
    monkeypatch: pytest.MonkeyPatch, names: Names, dotted: str, bundle: bool
) -> None:
    """It passes, and says SPECIMEN: without the mark's rule it would be shown as real."""
    verdict = judged(monkeypatch, names, dotted, bundle_of_specimens=bundle)
    assert outcome(verdict) == ("TOTAL-PASSED", None)
    assert verdict.specimen
    assert "SPECIMEN" in rules(verdict)


def test_the_sandbox_is_one_number_wherever_the_others_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never passed, also in a real world, and beside a real policy; its number below another arc is another's."""
    for dotted in ([arc.SANDBOX_SEAL_POLICY], [OWN, arc.SANDBOX_SEAL_POLICY]):
        with monkeypatch.context() as patch:
            verdict = judged(patch, real_name, *dotted)
        assert verdict.signatures[0].indication is Indication.INDETERMINATE
        assert "SGN-SANDBOX" in rules(verdict)
        assert verdict.specimen
    assert outcome(judged(monkeypatch, real_name, "2.16.116.99999.1.9")) == ("TOTAL-PASSED", None)
