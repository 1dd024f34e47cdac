"""The web assembly: one FastAPI application around the rooms' routers, with its pages and its rules at the edge."""
