"""Whatever a client pushes is either found good, and then kept as it was, or refused: nothing else comes of it."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from identity.oauth.authorization_request import AuthorizationRequest, read_request
from identity.oauth.errors import OAuthRefused
from identity.oauth.forms import MEDIA_TYPE, read_form
from identity.oauth.model import PERSON_SCOPES, GrantType, OAuthClient
from tests.identity.oauth_browser import BACK, challenge

CLIENT = OAuthClient("act_specimen", frozenset({GrantType.AUTHORIZATION_CODE}), (BACK,), PERSON_SCOPES)
GOOD = {
    "response_type": "code",
    "redirect_uri": BACK,
    "code_challenge": challenge(),
    "code_challenge_method": "S256",
    "scope": "openid",
}
_HASH = st.binary(min_size=31, max_size=33).map(lambda octets: base64.urlsafe_b64encode(octets).decode())
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | _HASH,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["hash", "label", "type", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
_DOCUMENT = st.fixed_dictionaries({"hash": _HASH}, optional={"label": st.text(max_size=20)})
_DETAILS = st.fixed_dictionaries(
    {"type": st.just("credential") | st.text(max_size=5)},
    optional={
        "credentialID": st.just("cred-1") | _ANY,
        "documentDigests": st.lists(_DOCUMENT, max_size=3) | _ANY,
        "hashAlgorithmOID": st.sampled_from(["2.16.840.1.101.3.4.2.1", "1.2.3"]) | _ANY,
        "more": _ANY,
    },
)
_PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.just(value) | st.text(max_size=10) for name, value in GOOD.items()},
        "state": st.text(max_size=10),
        "nonce": st.text(max_size=10),
        "description": st.text(max_size=20),
        "authorization_details": st.lists(_DETAILS, max_size=2).map(json.dumps) | st.text(max_size=10),
        "credentialID": st.text(max_size=10),
        "hashes": st.lists(_HASH, max_size=3).map(",".join),
        "numSignatures": st.text(max_size=3),
    },
)


@given(_PARAMETERS, st.booleans())
def test_a_request_is_kept_as_it_was_read_or_refused(parameters: dict[str, str], completed: bool) -> None:
    """A request that is taken is for the registered address, within the client's scopes, signs named digests of the
    right length or nothing, shows printable text alone, and comes back equal from what is kept."""
    asked = GOOD | parameters if completed else parameters
    try:
        made = read_request(CLIENT, asked)
    except OAuthRefused:
        return
    assert made.redirect_uri == BACK
    assert made.scopes <= CLIENT.scopes
    assert (made.signing is not None) == ("credential" in made.scopes)
    if made.signing is not None:
        assert made.signing.documents
        assert {len(one) for one in made.signing.digests} == {32}
        shown = "".join(one.label for one in made.signing.documents) + (made.description or "")
        assert all(char.isprintable() or char == "\u200b" for char in shown)
    assert AuthorizationRequest.from_json(made.to_json()) == made


@given(st.binary(max_size=200) | st.text(alphabet="ab=&%0f+;", max_size=40).map(str.encode))
def test_any_octets_are_a_form_or_refused(body: bytes) -> None:
    """A form gives each name once, with a value; what cannot be read is refused, and nothing else is raised."""
    try:
        found: dict[str, Any] = read_form(MEDIA_TYPE, body)
    except OAuthRefused:
        return
    assert all(found.values())
    assert not any(char < " " and char not in "\t\r\n" for value in found.values() for char in value)
