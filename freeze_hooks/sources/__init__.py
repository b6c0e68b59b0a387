"""Where graphs come from, and the values that fill them."""
