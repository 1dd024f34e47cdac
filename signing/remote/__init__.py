"""The open client: documents are prepared, completed and kept where they are; the service gets digests, and no more.

What signs a document here is what signs one at the service (`signing.sign`): only the key, the timestamps and the
status are somebody else's, behind the same ports.
"""
