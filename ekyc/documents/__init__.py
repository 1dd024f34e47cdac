"""Documents: kinds, lines, images and chips, and what is held against what."""
