"""The portal's pages for persons: log in, look, sign, refuse. Server-rendered; they call what the API calls."""
