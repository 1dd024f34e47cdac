"""``camtrust sign --service URL``: the documents stay on this machine, the key stays at the service."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from camtrust.cli.context import Context
from camtrust.cli.sign import outcome, secret_of, warnings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from signing.forms import Form
    from signing.pdf_options import PdfOptions
    from signing.remote.link import Credentials


@dataclass(frozen=True)
class Caller:
    """An agency's client. ``public_url``: what its requests are signed for, where that is not the address asked."""

    client: str | None
    key_file: Path | None
    public_url: str | None = None


def sign_at(
    context: Context,
    url: str,
    caller: Caller | None,
    given: list[tuple[Path, Path, str | None]],
    credential: str,
    form: Form,
    level: str | None,
    options: PdfOptions,
) -> list[dict[str, object]]:
    """Sign files with a credential of the service at ``url``; ``given``: file, where its result goes, its password.

    Raises what `signing.remote.client.RemoteSigner` raises: then no file was written.
    """
    from importlib.resources import files

    from camtrust.trust import write_new
    from foundation.randomness import SystemRandomness
    from signing.errors import LevelNotAllowed
    from signing.model import Level
    from signing.remote.client import Draft, Factors, RemoteSigner
    from signing.remote.link import Link
    from signing.sign.pades import Stamps

    if level is not None and level not in {one.value for one in Level}:
        raise LevelNotAllowed(level=level)
    if not _confidential(url):
        raise typer.BadParameter("the service is asked over https, or on this machine", param_hint="--service")

    def factors() -> Factors:
        return Factors(
            secret_of("CAMTRUST_SIGN_PIN", "Signing PIN: "), secret_of("CAMTRUST_SIGN_CODE", "One-time code: ")
        )

    asking: Callable[[], Factors] | None = None if caller else factors
    stamps = Stamps(Path(str(files("camtrust") / "fonts")), f"{url.rstrip('/')}/verify")
    warnings = {file: warnings_of(context, file, password) for file, _, password in given}
    drafts = [Draft(file.name, file.read_bytes(), password) for file, _, password in given]
    with Link(url, _assertions(context, url, caller) if caller else _session()) as link:
        signer = RemoteSigner(link, credential, context.clock, SystemRandomness(), asking, stamps=stamps)
        signed = signer.sign(drafts, form=form, level=Level(level) if level else None, options=options)
    outcomes = []
    for (file, target, _), octets in zip(given, signed, strict=True):
        write_new(target, octets)
        outcomes.append({**outcome(file, True, f"→ {target}"), "warnings": warnings[file]})
    return outcomes


def _session() -> Credentials:
    token = os.environ.get("CAMTRUST_SIGN_SESSION") or secret_of("CAMTRUST_SIGN_SESSION", "Session token: ")
    return lambda _method, _path, _body: {"Authorization": f"Bearer {token}"}


def _assertions(context: Context, url: str, caller: Caller) -> Credentials:
    """Each request is signed with the client's own key, for that request alone."""
    from camtrust.cli.review import read_key
    from identity.assertion import make_assertion

    if caller.client is None or caller.key_file is None:
        raise typer.BadParameter("--client and --client-key go together", param_hint="--client")
    client, key, origin = caller.client, read_key(caller.key_file), (caller.public_url or url).rstrip("/")

    def headers(method: str, path: str, body: bytes) -> dict[str, str]:
        now, once = context.clock.now(), secrets.token_urlsafe(24)
        return {"Authorization": make_assertion(key, client, origin, method, origin + path, body, now, once)}

    return headers


def _confidential(url: str) -> bool:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"})
