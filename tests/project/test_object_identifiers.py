"""Object identifiers of our own: one table, one meaning a number."""

from __future__ import annotations

import re
from pathlib import Path

from foundation import arc
from foundation.x509.profile import load_profiles

ROOT = Path(__file__).parents[2]
ROOMS = ("camtrust", "root_ca", "issuing_ca", "ekyc", "identity", "signing", "hsm_emulation", "foundation")


def test_what_code_and_data_name_is_in_the_table() -> None:
    """No number is used that has no meaning there, and none is written out in code where it has a name."""
    for room in ROOMS:
        for file in (ROOT / room).rglob("*"):
            if file.suffix in (".py", ".toml") and file.name != "arc.py":
                for number in re.findall(r"2\.999\.116\.([0-9.]*[0-9])", file.read_text(encoding="utf-8")):
                    assert number in arc.NUMBERS, f"{file}: {number}"
                    assert file.suffix == ".toml" or number.startswith(("1.", "2.")), f"{file}: {number}"


def test_the_page_is_the_table() -> None:
    """docs/object-identifiers.md says the same, in the same order."""
    page = (ROOT / "docs" / "object-identifiers.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `([0-9.]+)` \| (.+) \|$", page, re.MULTILINE)) == dict(arc.NUMBERS)


def test_no_two_kinds_of_certificates_have_one_policy() -> None:
    """But for those that are one kind: an OCSP responder's, and keys on other curves."""
    kinds: dict[str, set[str]] = {}
    for room in ("root_ca", "issuing_ca"):
        for profile in load_profiles((ROOT / room / "profiles.toml").read_text(encoding="utf-8")).values():
            for dotted in profile.policies.oids if profile.policies else ():
                if arc.is_example(dotted):
                    kind = profile.name.removeprefix("root-").removesuffix("-ec").removesuffix("-rsa")
                    kinds.setdefault(dotted, set()).add(kind)
    assert len(kinds) > 10
    assert all(len(names) == 1 for names in kinds.values()), kinds
    assert len(set(arc.NUMBERS.values())) == len(arc.NUMBERS)
