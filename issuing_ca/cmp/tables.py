"""CMP's transactions: each id once, and what waits for officers or for its confirmation."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, LargeBinary, MetaData, String, Table

from foundation.db.types import UtcDateTime

metadata = MetaData()

transactions = Table(
    "cmp_transactions",
    metadata,
    Column("id", LargeBinary(64), primary_key=True),
    Column("reference", String(40), nullable=False),  # the credential that it was protected for
    Column("serial", String(40)),  # the certificate that waits for its confirmation
    Column("signer", String(40)),  # serial number of the certificate that it was signed with; empty for a MAC
    Column("request", String(40)),  # of the registration authority, while officers decide
    Column("answer", Integer),  # the body that the certificate comes in
    Column("number", Integer),  # certReqId
    Column("implicit", Boolean),  # whether the client wants to confirm nothing
    Column("state", String(12), nullable=False),
    Column("nonce", LargeBinary(64), nullable=False),  # ours, which the confirmation must bring back
    Column("expires", UtcDateTime, nullable=False, index=True),
)
