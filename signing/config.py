"""The settings of signing: `[signing]` in camtrust.toml."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from signing.model import Level, SignatureText

MIB = 1024 * 1024


class SigningConfig(BaseModel):
    """Limits, the default level, and what signatures say about themselves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    maximum_document_bytes: int = Field(50 * MIB, gt=0, description="Largest document that is taken, in octets.")
    maximum_batch_documents: int = Field(20, gt=0, description="Documents in one authorisation.")
    maximum_batch_bytes: int = Field(
        100 * MIB, gt=0, description="All documents of one authorisation together, in octets."
    )
    maximum_documents_kept: int = Field(500, gt=0, description="Documents that one person may have here at a time.")
    batch_documents: int = Field(10_000, gt=0, description="Documents of one batch.")
    batch_bytes: int = Field(20 * 1024 * MIB, gt=0, description="All documents of one batch together, in octets.")
    batch_chunk_documents: int = Field(50, gt=0, description="Documents of a batch that are sealed together.")
    batch_chunk_bytes: int = Field(32 * MIB, gt=0, description="The same in octets, unless one alone has more.")
    batch_kept_days: int = Field(7, gt=0, description="How long a batch is kept after its end, in days.")
    batches_under_way: int = Field(20, gt=0, description="Batches of one client that are not over.")
    default_level: Level = Field(Level.B_LT, description="Level of a signature when the request names none.")
    audience: str = Field("camtrust-sign", description="What activations of the token are made out to.")
    mark: str | None = Field(None, description="Put before the reason: 'SPECIMEN' on everything that is not real.")
    reason: str | None = Field(None, description="/Reason of the signature dictionary.")
    location: str | None = Field(None, description="/Location of the signature dictionary.")

    @property
    def text(self) -> SignatureText:
        """What goes into the signature dictionary, with the mark."""
        reason = f"{self.mark}: {self.reason}" if self.mark and self.reason else self.mark or self.reason
        return SignatureText(reason=reason, location=self.location)
