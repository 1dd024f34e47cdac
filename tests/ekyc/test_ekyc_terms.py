"""The terms that people accept: the packaged specimens, or the operator's own file, read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

from ekyc.terms import Acceptance, TermsInvalid, TermsOutdated, check_acceptance, read_terms

GOOD = """
[consent]
purpose = "enrolment"
version = "2030.1"
en = "Consent."
km = "ការយល់ព្រម។"

[agreement]
version = "2030.2"
en = "Agreement."
km = "កិច្ចព្រមព្រៀង។"
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "terms.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_an_operator_s_own_terms_are_read(tmp_path: Path) -> None:
    """Versions and texts as they stand there; what was accepted of the packaged ones is outdated, and so is another
    text under the same version."""
    own, packaged = read_terms(written(tmp_path, GOOD)), read_terms()
    assert (own.consent_version, own.agreement_version, own.agreement["en"]) == ("2030.1", "2030.2", "Agreement.")
    other = read_terms(written(tmp_path, GOOD.replace('"Agreement."', '"Agreement!"')))
    for terms in (packaged, other):
        accepted = Acceptance(terms.purpose, terms.consent_version, terms.agreement_version, terms.agreement_digest)
        check_acceptance(terms, accepted)
        with pytest.raises(TermsOutdated):
            check_acceptance(own, accepted)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('km = "ការយល់ព្រម។"\n', ""),
        ('en = "Agreement."', 'en = ""'),
        ('version = "2030.2"', "version = 2030"),
        ("[agreement]", "[contract]"),
        ('purpose = "enrolment"', 'purpose = "enrolment"\nsurprise = 1'),
        ("[consent]", "[consent"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, old: str, new: str) -> None:
    """A text or version that is missing, empty or another kind, an unknown key, and what is no TOML; by name."""
    assert old in GOOD
    with pytest.raises(TermsInvalid) as refused:
        read_terms(written(tmp_path, GOOD.replace(old, new)))
    assert refused.value.params["file"] == str(tmp_path / "terms.toml")
    with pytest.raises(TermsInvalid):
        read_terms(tmp_path / "nowhere.toml")
