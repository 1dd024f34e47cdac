"""People without a document: two vouchers and an officer of the commune."""
