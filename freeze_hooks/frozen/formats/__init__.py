"""How a plan and its values become an artifact: a file a format."""
