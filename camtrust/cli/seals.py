"""``camtrust seals``: officers look at requests for organisations' seal credentials, and decide, with their own key."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from camtrust.cli.context import Context

if TYPE_CHECKING:
    from camtrust.demo.client import Officer

_ADDRESS = "/sign/v1/credential-requests"

_Officer = Annotated[str, typer.Option("--officer", help="your actor id, act_…")]
_Key = Annotated[Path, typer.Option("--key", help="your private key, PEM", exists=True, dir_okay=False)]
_Url = Annotated[str | None, typer.Option("--url", help="where the services are; default: the home's public URL")]
_Origin = Annotated[str | None, typer.Option("--origin", help="their public URL, where --url is another address")]
_Request = Annotated[str, typer.Argument(metavar="REQUEST", help="the request's id")]
_Reason = Annotated[str, typer.Option("--reason", help="why, in a line; nothing personal")]


@dataclass(frozen=True)
class _Colleague:
    """Who asks, and where."""

    context: Context
    officer: str
    key: Path
    url: str | None
    origin: str | None

    def at(self) -> AbstractContextManager[Officer]:
        from camtrust.cli.review import officer_at

        return officer_at(self.context, self.url, self.origin, self.officer, self.key)


def create(context: Context) -> typer.Typer:
    """The group, bound to the global options."""
    app = typer.Typer(
        help="As an officer: requests for organisations' seal credentials.", no_args_is_help=True, add_completion=False
    )

    @app.command("list")
    def list_requests(
        officer: _Officer,
        key: _Key,
        state: Annotated[str, typer.Option(help="waiting, approved, issued, refused, withdrawn, expired, failed")] = (
            "waiting"
        ),
        url: _Url = None,
        origin: _Origin = None,
    ) -> None:
        """List the requests in a state, the newest first."""
        with _Colleague(context, officer, key, url, origin).at() as colleague:
            found = colleague.get(f"{_ADDRESS}?state={state}")
        context.terminal.result(found, [_line(one) for one in found["items"]] or ["No request is in this state."])

    @app.command()
    def show(request: _Request, officer: _Officer, key: _Key, url: _Url = None, origin: _Origin = None) -> None:
        """Show one request: what will be certified, its SHA-256, and what was done about it."""
        with _Colleague(context, officer, key, url, origin).at() as colleague:
            one = colleague.get(f"{_ADDRESS}/{request}")
            terms = colleague.get_octets(f"{_ADDRESS}/{request}/terms").decode()
        _tell(context, one | {"terms": terms}, [terms])

    @app.command()
    def approve(
        request: _Request,
        officer: _Officer,
        key: _Key,
        digest: Annotated[str, typer.Option(help="the SHA-256 that `seals show` gave: exactly what you looked at")],
        reason: _Reason,
        url: _Url = None,
        origin: _Origin = None,
    ) -> None:
        """Approve exactly what was shown. The last of the officers who have to lets the credential be made."""
        with _Colleague(context, officer, key, url, origin).at() as colleague:
            done = colleague.post(f"{_ADDRESS}/{request}/approval", {"digest": digest, "reason": reason})
        _tell(context, done)

    @app.command()
    def refuse(
        request: _Request, officer: _Officer, key: _Key, reason: _Reason, url: _Url = None, origin: _Origin = None
    ) -> None:
        """Say no; the organisation may ask anew."""
        with _Colleague(context, officer, key, url, origin).at() as colleague:
            done = colleague.post(f"{_ADDRESS}/{request}/refusal", {"reason": reason})
        _tell(context, done)

    return app


def _tell(context: Context, one: dict[str, Any], before: list[str] | None = None) -> None:
    lines = [*(before or []), _line(one)]
    lines += [f"  {act['at']}  {act['kind']:<10} {act['actor']}  {act['reason'] or ''}".rstrip() for act in one["acts"]]
    lines.append(f"  SHA-256 of what is certified: {one['digest']}")
    if one["credential"]:
        lines.append(f"  credential: {one['credential']}")
    if one["problem"]:
        lines.append(f"  not made: {one['problem']}")
    context.terminal.result(one, lines)


def _line(one: dict[str, Any]) -> str:
    counted = "successor" if one["replaces"] else f"{one['approvals']} of {one['officers']} officers"
    return f"{one['id']}  {one['state']:<9}  {one['client']}  {counted}  asked {one['asked_at']}"
