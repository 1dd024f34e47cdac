"""An officer at a terminal: their own key signs each request, to the services wherever they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from camtrust.cli.context import Context
from camtrust.errors import OfficerKeyUnusable, ServiceRefused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

    from camtrust.demo.client import Officer

_SECONDS = 60.0

# What every command of an officer takes.
OfficerId = Annotated[str, typer.Option("--officer", envvar="CAMTRUST_OFFICER", help="your actor id, act_…")]
Key = Annotated[
    Path,
    typer.Option("--key", envvar="CAMTRUST_OFFICER_KEY", help="your private key, PEM", exists=True, dir_okay=False),
]
Address = Annotated[str | None, typer.Option("--url", help="where the services are; default: the home's public URL")]
Origin = Annotated[str | None, typer.Option("--origin", help="their public URL, where --url is another address")]


def read_key(key_file: Path) -> ec.EllipticCurvePrivateKey:
    """The private key that an actor signs requests with: PEM, without a password. Raises OfficerKeyUnusable."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, TypeError, ValueError):
        raise OfficerKeyUnusable(file=str(key_file)) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise OfficerKeyUnusable(file=str(key_file))
    return key


@contextmanager
def officer_at(
    context: Context, url: str | None, public_url: str | None, actor_id: str, key_file: Path
) -> Iterator[Officer]:
    """A client that signs as this officer. ``url`` None: the public URL of the home's settings; ``public_url``: what
    requests are signed for, where that is not ``url``.

    Raises OfficerKeyUnusable, and ServiceRefused with the code that the services answered.
    """
    import httpx2

    from camtrust.demo.client import Officer, Refused
    from camtrust.settings import load_settings

    key = read_key(key_file)
    address = (url or load_settings(context.home().settings_file).public_url).rstrip("/")
    origin = (public_url or address).rstrip("/")
    with httpx2.Client(base_url=address, timeout=_SECONDS, trust_env=False) as http:
        try:
            yield Officer(http, key, actor_id, origin, context.clock)
        except Refused as refused:
            problem = refused.problem
            raise ServiceRefused(code=problem.get("code", "?"), detail=problem.get("detail", "")) from None
        except httpx2.TransportError:
            raise ServiceRefused(code="unreachable", detail=address) from None
