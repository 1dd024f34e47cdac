"""Upkeep: every part runs, a part that fails does not end the others, and the key daemon is replaced."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from threading import Event

import httpx2
import pytest

from camtrust.demo.client import Citizen, Refused
from camtrust.doors import application
from camtrust.home import Home
from camtrust.keys import SERVICES, make_token, open_token
from camtrust.server import listening, opened
from camtrust.settings import NotifySettings, Settings
from camtrust.upkeep import kept_up, run_once, tasks
from ekyc.config import SmsSettings
from foundation.clock import SystemClock
from foundation.errors import InternalError
from hsm_emulation.process import KeyDaemon
from tests.ekyc.notice_servers import TOKEN, gateway_server
from tests.story.installation import found_authorities, installed, make_home


def test_every_part_is_done_and_one_failure_is_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On an installation nothing fails; when one part does, it is named and the others are still done."""
    with installed(tmp_path / "home", None) as site:
        assert run_once(site.services) == ()
        done: list[str] = []

        def fails() -> None:
            raise InternalError

        monkeypatch.setattr(site.services.ca, "reconcile", fails)
        monkeypatch.setattr(site.services.log, "integrate", lambda: done.append("log"))
        assert run_once(site.services) == ("keys switched as their certificates say",)
        assert done == ["log"]
        assert {"issuance log", "witness of the status", "OCSP responses"} <= set(tasks(site.services))


def wait_until(holds: object, tries: int = 1200) -> None:
    """Look every 0.1 s, at most ``tries`` times."""
    pause = Event()
    for _ in range(tries):
        if holds():  # type: ignore[operator]
            return
        pause.wait(0.1)
    raise AssertionError("it did not come to that")


def answers(client: object) -> bool:
    """Whether a call that needs the login is answered."""
    from foundation.keys.errors import KeyStoreError

    try:
        client.find(label="none")  # type: ignore[attr-defined]
    except KeyStoreError:
        return False
    return True


def test_a_killed_key_daemon_is_replaced(tmp_path: Path) -> None:
    """Supervised: after kill -9 the same client works again, logged in by itself."""
    home = Home.make(tmp_path / "home")
    make_token(home, SERVICES)
    with open_token(home, SERVICES, supervised=True) as client:
        os.kill(client.status()["pid"], signal.SIGKILL)
        wait_until(lambda: answers(client))


def test_a_borrowed_daemon_that_ends_is_replaced(tmp_path: Path) -> None:
    """A daemon that belonged to another command ends with it; the services then run one of their own."""
    home = Home.make(tmp_path / "home")
    make_token(home, SERVICES)
    other = KeyDaemon.start(home.path / SERVICES)
    with open_token(home, SERVICES, supervised=True) as client:
        other.stop()
        wait_until(lambda: answers(client))


def test_making_a_token_again_touches_nothing(tmp_path: Path) -> None:
    """Where the PIN was moved away, `hsm init` neither makes a new one nor a new token."""
    home = Home.make(tmp_path / "home")
    assert make_token(home, SERVICES)
    (home.path / SERVICES / "user.pin").rename(tmp_path / "kept.pin")
    assert not make_token(home, SERVICES)
    assert not (home.path / SERVICES / "user.pin").exists()


def test_codes_go_out_by_the_gateway_of_the_settings(tmp_path: Path) -> None:
    """One line of settings and the code reaches the phone; text messages are no emulated part any more, and e-mail,
    which nothing delivers, is refused."""
    home = make_home(tmp_path / "home")
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    with gateway_server() as gateway:
        settings = Settings(notify=NotifySettings(sms=SmsSettings(url=gateway.url, token_file=tmp_path / "token")))
        with opened(home, settings, SystemClock()) as services, kept_up(services):
            found_authorities(services)
            with listening(application(services)) as at, httpx2.Client(base_url=at.url, trust_env=False) as http:
                assert "notifications" not in http.get("/readyz").json()["emulated"]
                citizen = Citizen(http)
                enrolment = citizen.start("CONTACT")
                base = f"/ekyc/v1/enrolments/{enrolment['id']}"
                terms = citizen.get("/ekyc/v1/terms")
                accepted = ("purpose", "consent_version", "agreement_version", "agreement_digest")
                citizen.post(f"{base}/consent", {name: terms[name] for name in accepted})
                with pytest.raises(Refused, match="notifier_unavailable"):
                    citizen.post(f"{base}/contact", {"channel": "email", "address": "sokha@example.org"})
                citizen.post(f"{base}/contact", {"channel": "sms", "address": "012 987 654"})
                wait_until(lambda: gateway.requests)
        [(_, body)] = gateway.requests
        assert body["to"] == "+85512987654"
