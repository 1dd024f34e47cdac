"""What `camtrust.toml` says of enrolment reaches the room."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from camtrust.errors import SettingsInvalid
from camtrust.server import opened
from camtrust.settings import load_settings
from foundation.clock import SystemClock
from tests.story.installation import make_home


def test_enrolment_goes_by_the_settings_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File and environment, down to the limits of images; an enrolment then ends when the file says."""
    file = tmp_path / "camtrust.toml"
    file.write_text("[ekyc]\nenrolment_days = 3\notp_tries = 2\n[ekyc.images]\nat_once = 1\n", encoding="utf-8")
    monkeypatch.setenv("CAMTRUST_EKYC__OTP_TRIES", "4")
    with opened(make_home(tmp_path / "home"), load_settings(file), SystemClock()) as services:
        enrolment = services.ekyc.enrolment.start("CONTACT", "en").enrolment
        assert enrolment.expires_at - enrolment.created_at == timedelta(days=3)
        settings = services.ekyc.files.settings
        assert (settings.otp_tries, settings.images.at_once, settings.images.seconds) == (4, 1, 20.0)


@pytest.mark.parametrize("said", ["enrolment_days = 0", "otp_trys = 3", "images = { octets = 1 }"])
def test_a_setting_of_enrolment_that_is_none_is_refused(tmp_path: Path, said: str) -> None:
    """Out of its range, or of a name that there is not: with the key that is wrong."""
    file = tmp_path / "camtrust.toml"
    file.write_text(f"[ekyc]\n{said}\n", encoding="utf-8")
    with pytest.raises(SettingsInvalid) as refused:
        load_settings(file)
    assert str(refused.value.params["key"]).startswith("ekyc.")
