"""Database migrations, for all rooms in one line of revisions."""
