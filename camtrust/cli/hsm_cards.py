"""``camtrust hsm init --cards`` and ``login-quorum``: tokens that several people open together."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from camtrust.cli.context import Context
from camtrust.keys import opened_by_cards
from foundation.keys.errors import CardsTooFew

_OFFICER = "so"


def ask_cards(size: str) -> list[str]:
    """Ask at the terminal for as many cards as ``size`` (``3of5``) needs; what is typed is not shown.

    CardsTooFew where there is no terminal to ask at, or a holder gives nothing.
    """
    if not sys.stdin.isatty():
        raise CardsTooFew
    needed = int(size.partition("of")[0])
    cards = []
    for number in range(1, needed + 1):
        card = typer.prompt(
            f"Card {number} of the {needed} that are needed", hide_input=True, default="", show_default=False, err=True
        )
        if not card.strip():
            raise CardsTooFew
        cards.append(" ".join(card.split()))
    return cards


def read_card(file: Path) -> str:
    """A card from its file: the words, without the lines that begin with ``#``."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return " ".join(word for line in lines if not line.startswith("#") for word in line.split())


def write_cards(folder: Path, cards: Sequence[str], size: str, token: str) -> list[Path]:
    """One file a card (0600), in a folder that must be empty or not exist. OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = []
    for number, card in enumerate(cards, 1):
        path = folder / f"card-{number}.txt"
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(f"# CamTrust, token {token}: card {number} of {len(cards)}; {size} open it\n{card}\n")
        written.append(path)
    return written


def add_login_quorum(app: typer.Typer, context: Context, directory_of: dict[str, str]) -> None:
    """The command, bound to the global options."""

    @app.command("login-quorum")
    def login_quorum(
        token: Annotated[str, typer.Option("--token", help="services, root or trust")] = "root",  # noqa: S107
        card: Annotated[
            list[Path] | None, typer.Option("--card", help="a file with one card; without it, cards are asked for")
        ] = None,
        set_user_pin: Annotated[
            Path | None,
            typer.Option("--set-user-pin", help="let a PIN from this file open the token alone from now on"),
        ] = None,
    ) -> None:
        """Open a token with its holders' cards (SLIP-39), and say what is in it.

        Example: camtrust hsm login-quorum --token root
        """
        if token not in directory_of:
            raise typer.BadParameter(f"'{token}' is not one of {', '.join(directory_of)}")
        given = [read_card(file) for file in card] if card else None
        role = "user" if set_user_pin is None else _OFFICER
        with opened_by_cards(context.home(), directory_of[token], given or ask_cards, role) as client:
            if set_user_pin is not None:
                client.set_user_pin(set_user_pin.read_text(encoding="utf-8").strip())
            found = client.inventory()
        lines = [f"The cards open token {found['serial']} (emulated): {found['cards']} are needed."]
        lines += [f"  {row['count']:>6}  {row['use']:<24} {row['algorithm']}" for row in found["keys"]]
        if set_user_pin is not None:
            lines.append("A PIN opens it now too: the quorum holds no longer against whoever knows that PIN.")
        context.terminal.result({**found, "user_pin_set": set_user_pin is not None}, lines)
