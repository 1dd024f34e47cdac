"""Cards that open a token together: SLIP-39 shares of one secret, under which the master key is sealed.

The secret exists while cards are made and while a login puts it together; it is kept nowhere. A token that was made
with cards has no PIN that opens it, until the cards' holders set one.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from shamir_mnemonic import MnemonicError, Share, combine_mnemonics, generate_mnemonics

from foundation.keys.errors import (
    CardsForeign,
    CardsInvalid,
    CardsMixed,
    CardsRepeated,
    CardsTooFew,
    CardsUnreadable,
    NoCards,
    WrappedKeyInvalid,
)
from foundation.randomness import Randomness
from hsm_emulation.sealing import KEY_LENGTH, seal, unseal

MOST_CARDS = 16  # SLIP-39: four bits for an index
_SIZE = re.compile(r"(\d{1,2})of(\d{1,2})", re.ASCII)


@dataclass(frozen=True)
class CardSet:
    """``threshold`` of ``count`` cards open a token. CardsInvalid unless 2 <= threshold <= count <= 16."""

    threshold: int
    count: int

    def __post_init__(self) -> None:
        if not 2 <= self.threshold <= self.count <= MOST_CARDS:
            raise CardsInvalid

    @classmethod
    def parse(cls, text: str) -> CardSet:
        """From ``3of5``; CardsInvalid."""
        match = _SIZE.fullmatch(text)
        if match is None:
            raise CardsInvalid
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.threshold}of{self.count}"


def make_cards(connection: sqlite3.Connection, size: CardSet, master: bytes, randomness: Randomness) -> tuple[str, ...]:
    """Make the token's cards and seal the master key under what they hold together. Gives the cards, once."""
    secret = randomness.bytes(KEY_LENGTH)
    (cards,) = generate_mnemonics(1, [(size.threshold, size.count)], secret)
    identifier = Share.from_mnemonic(cards[0]).identifier
    sealed = seal(secret, master, _bound_to(size, identifier), randomness)
    connection.execute("DELETE FROM cards")
    connection.execute(
        "INSERT INTO cards (identifier, threshold, count, sealed) VALUES (?, ?, ?, ?)",
        (identifier, size.threshold, size.count, sealed),
    )
    return tuple(cards)


def card_set(connection: sqlite3.Connection) -> CardSet | None:
    """How many cards there are and are needed; None for a token without cards."""
    row = connection.execute("SELECT threshold, count FROM cards").fetchone()
    return CardSet(row[0], row[1]) if row else None


def open_with_cards(connection: sqlite3.Connection, cards: Sequence[str]) -> bytes:
    """The master key. Refusals say what is wrong with the cards together, never with which.

    NoCards for a token without; CardsUnreadable (a word or the checksum); CardsMixed (of different sets);
    CardsForeign (all of another set or token); CardsRepeated; CardsTooFew.
    """
    row = connection.execute("SELECT * FROM cards").fetchone()
    if row is None:
        raise NoCards
    if not 1 <= len(cards) <= MOST_CARDS:
        raise CardsTooFew
    try:
        shares = [Share.from_mnemonic(card) for card in cards]
    except MnemonicError:
        raise CardsUnreadable from None
    if len({share.group_parameters() for share in shares}) != 1:
        raise CardsMixed
    if shares[0].identifier != row["identifier"] or shares[0].member_threshold != row["threshold"]:
        raise CardsForeign
    if len({share.index for share in shares}) != len(shares):
        raise CardsRepeated
    if len(shares) < row["threshold"]:
        raise CardsTooFew
    size = CardSet(row["threshold"], row["count"])
    try:
        secret = combine_mnemonics([share.mnemonic() for share in shares[: size.threshold]])
        return unseal(secret, row["sealed"], _bound_to(size, row["identifier"]))
    except (MnemonicError, WrappedKeyInvalid):
        raise CardsForeign from None


def _bound_to(size: CardSet, identifier: int) -> dict[str, object]:
    return {"what": "master-key", "role": "cards", "size": str(size), "identifier": identifier}
