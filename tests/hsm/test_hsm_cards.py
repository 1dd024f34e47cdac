"""Cards (SLIP-39): enough of them open a token, and each kind of wrong hand is refused by its own name."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from shamir_mnemonic import Share, combine_mnemonics, generate_mnemonics
from shamir_mnemonic.shamir import EncryptedMasterSecret, split_ems

from foundation.clock import SetClock
from foundation.keys.errors import (
    CardsForeign,
    CardsInvalid,
    CardsMixed,
    CardsRepeated,
    CardsTooFew,
    CardsUnreadable,
    KeyStoreError,
    NoCards,
    NotLoggedIn,
    TokenPinIncorrect,
    TokenPinInvalid,
)
from foundation.keys.port import KeyAlgorithm, KeyUse, Mechanism
from hsm_emulation.cards import CardSet
from hsm_emulation.client import HsmClient
from hsm_emulation.daemon import Daemon
from hsm_emulation.process import initialise
from hsm_emulation.store import FILE
from tests.hsm.conftest import CHEAP, SO_PIN, USER_PIN, Served


class Carded:
    """A token with cards, served in this process."""

    def __init__(self, directory: Path, clock: SetClock) -> None:
        self.directory, self.clock = directory, clock
        self.cards = initialise(directory, None, None, costs=CHEAP, clock=clock, cards="3of5")

    def open(self, *cards: str, role: str = "user") -> HsmClient:
        client = HsmClient(self.daemon.socket_path, timeout=20)
        client.login_quorum(cards, role)
        return client


@pytest.fixture
def carded(clock: SetClock) -> Iterator[Carded]:
    folder = Path(tempfile.mkdtemp(prefix="camtrust-hsm-"))
    one = Carded(folder / "token", clock)
    with Daemon(one.directory, clock) as daemon:
        one.daemon = daemon
        yield one
    shutil.rmtree(folder)


def test_any_three_of_five_open_the_token(carded: Carded) -> None:
    """Each of the ten hands of three opens it; keys made under one sign under another; more than three do too."""
    assert len(set(carded.cards)) == 5
    with carded.open(*carded.cards[:3]) as client:
        key = client.generate("root", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
        assert client.status()["cards"] == client.inventory()["cards"] == "3of5"
    for hand in [*itertools.combinations(carded.cards, 3), carded.cards]:
        with carded.open(*hand) as client:
            client.sign(key.key_id, Mechanism.ECDSA_SHA256, b"x")


def test_as_many_cards_as_there_can_be_are_heard(carded: Carded) -> None:
    """Sixteen cards (SLIP-39's most) of 33 words of eight letters reach the token: they are refused as cards."""
    with pytest.raises(CardsUnreadable):
        carded.open(*[" ".join(["academic"] * 33) + " " * number for number in range(16)])


def test_every_wrong_hand_is_refused_by_its_kind(carded: Carded, clock: SetClock, tmp_path: Path) -> None:
    """Too few, repeated, mistyped, of two sets, of another token: each has a name, and none tells which card it was."""
    one, two, three, four, _ = carded.cards
    others = initialise(tmp_path / "other", None, None, costs=CHEAP, clock=clock, cards="3of5")
    words = one.split()
    mistyped = " ".join([words[1], words[0], *words[2:]])
    hands: dict[tuple[str, ...], type[KeyStoreError]] = {
        (one, two): CardsTooFew,
        (one,): CardsTooFew,
        (): CardsTooFew,
        (one, two, two): CardsRepeated,
        (one, two, mistyped): CardsUnreadable,
        (one, two, "three blind mice"): CardsUnreadable,
        (one, two, others[0]): CardsMixed,
        others[:3]: CardsForeign,
        (one, two, three, four, others[4]): CardsMixed,
        (one,) * 17: CardsTooFew,
    }
    for hand, error in hands.items():
        with pytest.raises(error) as told:
            carded.open(*hand)
        assert told.value.params == {}
    with carded.open(one, two, four, role="so") as officer:
        refusals = [row["outcome"] for row in officer.audit_entries() if row["action"] == "login-cards"]
        assert len(refusals) == len(hands)


def test_cards_that_fit_but_hold_another_secret_open_nothing(carded: Carded) -> None:
    """A set made to look like the token's, over another secret: refused as foreign."""

    wanted = Share.from_mnemonic(carded.cards[0]).identifier

    forged = EncryptedMasterSecret.from_master_secret(bytes(32), b"", wanted, True, 1)
    shares = [share.mnemonic() for share in split_ems(1, [(3, 5)], forged)[0]]
    with pytest.raises(CardsForeign):
        carded.open(*shares[:3])


def test_no_pin_opens_a_token_with_cards(carded: Carded) -> None:
    """There is no PIN at all, until the holders set one together."""
    client = HsmClient(carded.daemon.socket_path, timeout=20)
    for role in ("user", "so"):
        with pytest.raises(TokenPinIncorrect):
            client.login("specimen-pin-of-nobody", role)
    with carded.open(*carded.cards[1:4], role="so") as officer:
        officer.set_user_pin("set-by-the-holders")
    client.login("set-by-the-holders")
    client.close()


def test_no_card_and_no_secret_is_on_the_disk(carded: Carded) -> None:
    """Neither a card, nor a run of its words, nor the secret that the cards hold."""

    secret = combine_mnemonics(carded.cards[:3])
    with carded.open(*carded.cards[:3]) as client:
        client.generate("one", KeyAlgorithm.EC_P256, KeyUse.AUDIT)
        octets = b"".join(path.read_bytes() for path in carded.directory.glob(f"{FILE}*"))
    assert secret not in octets
    assert not any(" ".join(card.split()[4:7]).encode() in octets for card in carded.cards)


def test_a_token_with_pins_has_no_cards(served: Served) -> None:
    """NoCards, whatever is shown; and a token has PINs or cards, not both."""
    client = HsmClient(served.daemon.socket_path, timeout=20)
    (cards,) = generate_mnemonics(1, [(3, 5)], bytes(32))
    with pytest.raises(NoCards):
        client.login_quorum(cards[:3])
    with pytest.raises(NotLoggedIn):
        client.inventory()
    for pins in ((SO_PIN, USER_PIN), (SO_PIN, None), (None, USER_PIN)):
        with pytest.raises(TokenPinInvalid):
            initialise(served.directory / "x", *pins, costs=CHEAP, clock=served.clock, cards="3of5")
    for nothing in (SO_PIN, None):
        with pytest.raises(TokenPinInvalid):
            initialise(served.directory / "x", nothing, None, costs=CHEAP, clock=served.clock)


@pytest.mark.parametrize("text", ["", "3", "3of", "1of5", "6of5", "3of17", "0of0", "3 of 5", "³of5", "-3of5"])
def test_sizes_that_are_none(text: str) -> None:
    """At least two cards open a token, of at most sixteen."""
    with pytest.raises(CardsInvalid):
        CardSet.parse(text)
