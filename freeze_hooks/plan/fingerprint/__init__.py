"""What a model or function was traced from, and what of that has changed since."""
