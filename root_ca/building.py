"""The root's profiles, and which act may use which."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from foundation.arc import ARC, is_example
from foundation.x509.oids import ANY_POLICY
from foundation.x509.profile import Profile, load_profiles, profiles_below

# Which profiles the certificate of an act may have, and which one its other tables must.
PROFILES_OF_ACT = {
    "root": ("root",),
    "twin-root": ("root",),
    "rollover": ("root",),
    "subordinate": ("issuing-ca", "tsa-ca"),
    "ocsp-responder": ("root-ocsp-responder",),
    "cross-certificate": ("cross-certificate",),
    "licensed-ca": ("licensed-ca",),
}
LINK_PROFILE, STATEMENT_PROFILE = "root-link", "twin-statement"
CRL_CPS = "CP/CPS 7.2"
DESTRUCTION_CPS = "CP/CPS 6.2.10"


@cache
def profiles(arc: str = ARC) -> Mapping[str, Profile]:
    """The root's profiles (`root_ca/profiles.toml`), with their policies below the arc that a ceremony file names."""
    packaged = load_profiles(files("root_ca").joinpath("profiles.toml").read_text(encoding="utf-8"))
    return profiles_below(packaged, arc)


def is_below(profile: Profile, arc: str) -> bool:
    """Whether a profile that was recorded is one of an installation with this arc: its own policies stand below it, and
    it is a specimen where the arc is one of examples."""
    own = [one for one in (profile.policies.oids if profile.policies else ()) if one != ANY_POLICY.dotted_string]
    return profile.specimen == is_example(arc) and all(one.startswith(f"{arc}.") for one in own)


def wanted_urls(profile: Profile) -> set[str]:
    """The addresses that certificates of a profile name."""
    access = profile.authority_information_access
    rows = {
        "ocsp": access is not None and access.ocsp,
        "issuer": access is not None and access.issuer,
        "crl": profile.crl_distribution_points is not None,
    }
    return {name for name, wanted in rows.items() if wanted}
