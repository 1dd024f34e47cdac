"""CMP's transactions: each id once, and what waits for its confirmation."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, MetaData, String, Table

from foundation.db.types import UtcDateTime

metadata = MetaData()

transactions = Table(
    "cmp_transactions",
    metadata,
    Column("id", LargeBinary(64), primary_key=True),
    Column("reference", String(40), nullable=False),  # the credential that it was protected for
    Column("serial", String(40)),  # the certificate that waits for its confirmation
    Column("state", String(12), nullable=False),
    Column("nonce", LargeBinary(64), nullable=False),  # ours, which the confirmation must bring back
    Column("expires", UtcDateTime, nullable=False, index=True),
)
