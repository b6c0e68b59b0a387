"""Files appear whole or not at all, local or remote."""
