"""A soak: real services under a watch for as long as one likes, and what it told of them."""
