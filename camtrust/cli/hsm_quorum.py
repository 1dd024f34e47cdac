"""``camtrust hsm custodians | request | approve | perform``: acts that several custodians approve, by files.

Everything that goes from one to another is a small file that fits a USB stick: the request, and an approval of each.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from camtrust.cli.context import Context
from foundation.keys.errors import CustodiansInvalid, RequestInvalid
from foundation.keys.quorum import Custodians, Request, approve
from hsm_emulation.client import HsmClient
from root_ca.cli import key_password
from root_ca.cosigning import FileKey

Opened = Callable[[str], AbstractContextManager[HsmClient]]
TokenOption = Annotated[str, typer.Option("--token", help="services, root or trust")]
_OFFICERS = frozenset({"rotate_master", "set_policy", "accept_store", "set_custodians"})


def add_quorum(app: typer.Typer, context: Context, opened: Opened, officer: Opened) -> None:
    """The commands, bound to the global options; ``officer`` logs in the security officer to a token that is open."""

    def ask_as(token: str, operation: str, run: Callable[[HsmClient], Any]) -> Any:
        with opened(token) as client:
            if operation not in _OFFICERS:
                return run(client)
            with officer(token) as so:
                return run(so)

    @app.command()
    def custodians(
        token: TokenOption = "root",  # noqa: S107 - the name of a token
        from_file: Annotated[
            Path | None, typer.Option("--set", help="JSON: threshold, and people with name and public_key (Base64)")
        ] = None,
    ) -> None:
        """Show who must approve new CA keys, rotation and policies; or set them, while there are none."""
        if from_file is not None:
            chosen = Custodians.parse(_json(from_file, CustodiansInvalid))
            ask_as(token, "set_custodians", lambda so: so.set_custodians(chosen))
        with opened(token) as client:
            found = client.custodians()
        lines = [f"{found.threshold} of {len(found.people)} must approve"] if found.people else ["Nobody must approve."]
        lines += [f"  {one.name}: {one.key_id}" for one in found.people]
        context.terminal.result(found.data(), lines)

    @app.command("request")
    def request_command(
        operation: Annotated[str, typer.Argument(help="generate, rotate_master, set_policy, accept_store, ...")],
        output: Annotated[Path, typer.Option("--output", "-o", help="where to write the request; must not exist")],
        token: TokenOption = "root",  # noqa: S107
        arguments: Annotated[Path | None, typer.Option("--arguments", help="JSON file with its arguments")] = None,
    ) -> None:
        """Ask the token for a request that custodians sign: one act, good for a week, once."""
        given = _json(arguments, RequestInvalid) if arguments else {}
        octets: bytes = ask_as(token, operation, lambda client: client.quorum_ask(operation, given))
        with output.open("xb") as file:
            file.write(octets)
        _show(context, Request.parse(octets), {"written": str(output)})

    @app.command("approve")
    def approve_command(
        request: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
        key: Annotated[Path, typer.Option("--key", help="the custodian's private key, PEM")],
        output: Annotated[Path, typer.Option("--output", "-o", help="where to write the approval; must not exist")],
        yes: Annotated[bool, typer.Option("--yes", help="do not ask; the request has been read elsewhere")] = False,
    ) -> None:
        """Read a request and approve it with one's own key. Needs no token."""
        asked = Request.parse(request.read_bytes())
        if not yes:
            for line in _lines(asked):
                typer.echo(line, err=True)
            typer.confirm("Approve exactly this?", abort=True, err=True)
        own = FileKey(key, key_password(key))
        with output.open("xb") as file:
            file.write(approve(asked, own.public_key, own.sign))
        _show(context, asked, {"written": str(output)})

    @app.command("perform")
    def perform_command(
        request: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
        approvals: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)],
        token: TokenOption = "root",  # noqa: S107
    ) -> None:
        """Do what enough custodians approved, once."""
        octets = request.read_bytes()
        asked, given = Request.parse(octets), [file.read_bytes() for file in approvals]
        done = ask_as(token, asked.operation, lambda client: client.quorum_perform(octets, given))
        told = {name: value for name, value in done.items() if name != "public_key"} if isinstance(done, dict) else done
        _show(context, asked, {"done": told})


def _json(file: Path, otherwise: type[Exception]) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        raise otherwise from None


def _lines(request: Request) -> list[str]:
    arguments = [f"  {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in request.arguments.items()]
    return [
        f"{request.operation}, on token {request.token}, until {request.expires:%Y-%m-%d %H:%M} UTC",
        *arguments,
        f"SHA-256 {request.digest}",
    ]


def _show(context: Context, request: Request, more: dict[str, Any]) -> None:
    value = {"operation": request.operation, "token": request.token, "sha256": request.digest, **more}
    context.terminal.result(value, [*_lines(request), *(f"{name}: {one}" for name, one in more.items())])
