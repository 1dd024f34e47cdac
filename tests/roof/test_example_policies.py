"""What specimen = false asks for before anything starts, and the arc below which policies stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from camtrust import production
from camtrust.ca_settings import ca_settings_of
from camtrust.errors import (
    AuthoritiesRefused,
    ExampleOidRefused,
    ProductionNotReady,
    SettingsInvalid,
    SpecimenArcRefused,
)
from camtrust.settings import CaSettings, EkycSection, PolicySettings, RegistrySettings, Settings, load_settings
from ekyc.policy import default_policy
from foundation import arc
from foundation.x509.names import subject_name
from foundation.x509.profile import Profile
from issuing_ca.service import packaged_profiles
from root_ca.building import profiles as root_profiles

REAL, EXAMPLE = "1.3.6.1.4.1.99999.1", "2.999.116.2.2"
OWN = "2.16.116.99999"  # nobody's that we know of; it leaves these tests in no certificate
REGISTRY = RegistrySettings(
    url="https://registry.example",
    client="KH-TEST/GOV/1/EKYC",
    service="KH-TEST/GOV/2/PERSONS/match",
    residents_service="KH-TEST/GOV/3/RESIDENTS/match",
    relations_service="KH-TEST/GOV/2/PERSONS/relation",
)
READY = Settings(
    specimen=False,
    policies=PolicySettings(arc=OWN),
    registry=REGISTRY,
    ekyc=EkycSection(terms=Path("terms.toml")),
)


def authority(profile: str = REAL, level: str = REAL, timestamps: str = REAL) -> Any:
    """An issuing CA with these policies."""
    named = SimpleNamespace(name="tls-server", policies=SimpleNamespace(oids=(profile,)))
    return SimpleNamespace(
        profiles={"tls-server": named},
        settings=SimpleNamespace(policies={"low": level}, tsa_policy=timestamps),
        authorities=SimpleNamespace(all=tuple),
    )


@pytest.mark.parametrize("where", ["profile", "level", "timestamps"])
def test_an_example_policy_is_refused_wherever_it_stands(where: str) -> None:
    """In a profile, of a level, and of timestamps; a specimen has them everywhere."""
    with pytest.raises(ExampleOidRefused):
        production.require_authorities(READY, cast(Any, authority(**{where: EXAMPLE})))
    production.require_authorities(Settings(), cast(Any, authority(**{where: EXAMPLE})))


def test_policies_of_ones_own_are_taken() -> None:
    """Where no example is among them; the sandbox's policy is one, and stays."""
    production.require_authorities(READY, cast(Any, authority()))
    production.require_authorities(READY, cast(Any, authority(profile=arc.SANDBOX_SEAL_POLICY)))


@pytest.mark.parametrize("specimen", [True, False])
def test_authorities_of_the_other_kind_are_refused(specimen: bool) -> None:
    """Installed ones, and whatever stands above them: real below a specimen, and a specimen below what is real."""
    real, example = _certificate("Organisation"), _certificate("SPECIMEN Organisation")
    own, other = (example, real) if specimen else (real, example)
    by_policy = _certificate("Organisation", "2.999.116.3.1")
    settings = Settings() if specimen else READY
    for certificate, chain, root, refused in (
        (own, (own,), own, False),
        (other, (own,), own, True),
        (own, (other,), own, True),
        (own, (own,), other, True),
        (by_policy, (own,), own, not specimen),
    ):
        installed = SimpleNamespace(name="issuing", certificate=certificate, chain=chain, root=root)
        ca = authority()
        ca.authorities = SimpleNamespace(all=lambda one=installed: (one,))
        if not refused:
            production.require_authorities(settings, ca)
            continue
        with pytest.raises(AuthoritiesRefused):
            production.require_authorities(settings, ca)


def _certificate(organisation: str, *policies: str) -> x509.Certificate:
    key, name = ec.generate_private_key(ec.SECP256R1()), subject_name((("C", "KH"), ("O", organisation)))
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for one in policies:
        information = x509.PolicyInformation(x509.ObjectIdentifier(one), None)
        builder = builder.add_extension(x509.CertificatePolicies([information]), critical=False)
    dated = builder.serial_number(1).not_valid_before(begin).not_valid_after(begin + timedelta(days=1))
    return dated.sign(key, hashes.SHA256())


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        ({}, ""),
        ({"policies": PolicySettings()}, "policies.arc"),
        ({"policies": PolicySettings(arc="2.999.116")}, "policies.arc"),
        ({"policies": PolicySettings(arc="2.999.5.1")}, "policies.arc"),
        ({"registry": REGISTRY.model_copy(update={"url": None})}, "registry.url"),
        ({"registry": REGISTRY.model_copy(update={"client": "KH-SPECIMEN/GOV/1/EKYC"})}, "registry.client"),
        (
            {"registry": RegistrySettings(url="https://registry.example")},
            "registry.client, registry.service, registry.residents_service, registry.relations_service",
        ),
        ({"ekyc": EkycSection()}, "ekyc.terms"),
        ({"ca": CaSettings(time_source="assumed")}, "ca.time_source"),
        ({"policies": PolicySettings(), "ekyc": EkycSection()}, "policies.arc, ekyc.terms"),
    ],
)
def test_every_setting_that_production_needs_is_named(changed: dict[str, Any], keys: str) -> None:
    """All of them at once; with each in place, nothing is said."""
    settings = READY.model_copy(update=changed)
    if not keys:
        production.require(settings)
        return
    with pytest.raises(ProductionNotReady) as refused:
        production.require(settings)
    assert refused.value.params["keys"] == keys


def test_a_specimen_takes_no_arc_of_ones_own() -> None:
    """A specimen below a real policy could be taken for real; below another example arc it is a specimen still."""
    with pytest.raises(SpecimenArcRefused):
        production.require(Settings(policies=PolicySettings(arc=OWN)))
    production.require(Settings(policies=PolicySettings(arc="2.999.5")))


@pytest.mark.parametrize(
    "dotted",
    [
        "", "2", "2.16", "2.16.116", "1.3.6.1.4.1", "2.16.116.", ".2.16.116.1", "2.16.116.01", "2.16.116.-1",
        "3.1.2.3", "1.40.1.1", "0.40.1.1", "2.16.116.2147483648", "2.16.116.1 ", "2.16.116.1\n", "2.16.116.a",
        "2.5.29.32", "0.4.0.1862.1", "1.3.6.1.5.5.7", "2.23.140.1", ".".join(["2"] * 21), "២.១៦.១១៦.១",
    ],
)  # fmt: skip
def test_what_is_no_arc_of_an_operator_is_refused(dotted: str, tmp_path: Any) -> None:
    """Malformed, too short to be one operator's, too large for readers, or below standards' own numbers."""
    file = tmp_path / "camtrust.toml"
    file.write_text(f"[policies]\narc = {dotted!r}\n".replace("'", '"'), encoding="utf-8")
    with pytest.raises(SettingsInvalid) as refused:
        load_settings(file)
    assert refused.value.params["key"] == "policies.arc"
    with pytest.raises(ValueError, match=r"it is|standards"):
        arc.checked_arc(dotted)


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=10))
def test_an_assigned_arc_is_taken_as_it_is(numbers: list[int]) -> None:
    """Any number that Cambodia, or the register of private enterprises, may have assigned."""
    for registry in ("2.16.116", "1.2.116", "1.3.6.1.4.1"):
        dotted = ".".join((registry, *map(str, numbers)))
        assert arc.checked_arc(dotted) == dotted


@given(st.sampled_from(sorted(arc.NUMBERS)), st.sampled_from([OWN, "1.3.6.1.4.1.99999.1", "2.999.116"]))
def test_every_policy_moves_below_the_arc_and_nothing_else_does(number: str, own: str) -> None:
    """Numbers that software reads, the sandbox's, and those of others stay."""
    ours = f"{arc.ARC}.{number}"
    stays = number.startswith("9.") or number == "1.9"
    assert arc.below(own, ours) == (ours if stays else f"{own}.{number}")
    assert arc.below(own, "2.5.29.32.0") == "2.5.29.32.0"
    assert arc.below(own, "2.999.1169.1") == "2.999.1169.1"


def _policies(profile: Profile) -> tuple[str, ...]:
    return profile.policies.oids if profile.policies else ()


def test_all_that_the_services_issue_has_its_policy_below_the_arc() -> None:
    """Each profile under the number that it had, the same in everything else, and no specimen; levels, timestamps."""
    before, after = packaged_profiles(), packaged_profiles(OWN)
    assert before.keys() == after.keys()
    for name, profile in after.items():
        if name == "organisation-seal-sandbox":
            assert profile == before[name]
            continue
        assert _policies(profile) == tuple(f"{OWN}.{one.removeprefix('2.999.116.')}" for one in _policies(before[name]))
        assert not profile.specimen
        same = profile.model_copy(update={"specimen": True, "policies": before[name].policies})
        assert same == before[name]
    settings = ca_settings_of(READY, default_policy().below(OWN).oids())
    assert settings.tsa_policy == f"{OWN}.2.2"
    assert settings.policy_arc == OWN
    assert sorted(settings.policies.values()) == [f"{OWN}.1.1.{level}" for level in (1, 2, 3)]


def test_the_levels_of_the_policy_move_and_its_rules_stay() -> None:
    """The policy under an arc of its own is another one by its digest, with the same rules."""
    packaged = default_policy()
    own = packaged.below(OWN)
    assert own.digest() != packaged.digest()
    assert packaged.below(arc.ARC).document() == packaged.document()
    assert all(own.level(name).rules == level.rules for name, level in packaged.levels.items())
    assert own.below(arc.ARC).oids() == own.oids()  # what was moved is not ours to move again


def test_the_root_s_profiles_stay_examples_until_a_file_names_an_arc() -> None:
    """What the offline root has by itself."""
    assert all(one.specimen for one in root_profiles().values())
