"""The sensor on itself: what it keeps from one run to the next, and what is done to it."""
