"""``camtrust root``: ceremonies of the offline root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from camtrust.ceremony_room import equipment
from camtrust.cli.context import Context
from camtrust.keys import ROOT, make_token, open_token, throwaway_token
from foundation.keys.port import KeyStore
from root_ca.cli import create_app


def create(context: Context) -> typer.Typer:
    """The group, bound to the global options; the root's token is made when it is first needed."""

    @contextmanager
    def root_token() -> Iterator[KeyStore]:
        home = context.new_home()
        make_token(home, ROOT)
        with open_token(home, ROOT) as client:
            yield client

    return create_app(root_token, throwaway_token, lambda: context.terminal, context.clock, equipment)
