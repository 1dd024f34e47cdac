"""Reviews: who is drawn, what is signed, and the cases whose answer is known."""
