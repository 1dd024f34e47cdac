"""Evidence for the documents that the service keeps: recorded at night, and renewed before it ends (RFC 4998)."""
