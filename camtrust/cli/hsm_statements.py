"""``camtrust hsm attest | check-statement | rotate-master``: what a token says of itself, and its master key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from camtrust.cli.context import Context
from foundation.keys.attestation import verify_any
from foundation.keys.errors import AttestationInvalid
from hsm_emulation.client import HsmClient

Opened = Callable[[str], AbstractContextManager[HsmClient]]
TokenOption = Annotated[str, typer.Option("--token", help="services, root or trust")]
_ROWS = 1000


def add_commands(app: typer.Typer, context: Context, opened: Opened, officer: Opened) -> None:
    """The commands, bound to the global options.

    ``opened`` opens a token by its name, logged in; ``officer`` logs the security officer in to a token that is open.
    """

    @app.command()
    def attest(
        key: Annotated[str, typer.Argument(help="label or id of a key")],
        token: TokenOption = "services",  # noqa: S107 - the name of a token
        output: Annotated[Path | None, typer.Option("--output", "-o", help="where to write the statement")] = None,
    ) -> None:
        """Give a signed statement about a key: where it was made, whose it is, that it cannot leave."""
        with opened(token) as client:
            found = client.find(label=key)
            statement = client.attest(found[0].key_id if found else key)
            token_key = client.token_key()
        if output is not None:
            output.write_bytes(statement)
        told = json.loads(statement)["statement"]
        result = {"statement": json.loads(statement), "token_key": token_key.hex()}
        lines = [f"{name:<12} {value}" for name, value in told.items()]
        lines.append(f"Token key    {token_key.hex()}")
        lines.append(f"Its SHA-256  {hashlib.sha256(token_key).hexdigest()}")
        context.terminal.result(result, lines)

    @app.command("check-statement")
    def check_statement(
        file: Annotated[Path, typer.Argument(help="a statement of a token", exists=True, dir_okay=False)],
        token_key: Annotated[str, typer.Option("--token-key", help="the token's public key as attest shows it")],
    ) -> None:
        """Check a statement of a token (attestation, certificate of destruction, checkpoint) without the token."""
        octets = file.read_bytes()
        try:
            key = bytes.fromhex(token_key)
        except ValueError:
            raise AttestationInvalid from None
        verify_any(octets, key)
        told = json.loads(octets)["statement"]
        context.terminal.result(
            {"valid": True, "statement": told},
            [f"{name:<12} {value}" for name, value in told.items()] + ["The token with this key said so."],
        )

    @app.command("rotate-master")
    def rotate_master(token: TokenOption = "services") -> None:  # noqa: S107
        """Rotate the master key of a token, or go on with a rotation that was interrupted."""
        with opened(token) as client:
            left = client.rewrap_rows(0)
            if left == 0:
                with officer(token) as so:
                    version = so.rotate_master()
                context.terminal.note(f"Version {version} of the master key is made.")
            while left := client.rewrap_rows(_ROWS):
                context.terminal.note(f"{left} rows are still under the old one.")
        context.terminal.result({"rows_left": 0}, ["All is under the new master key; the old one is destroyed."])
