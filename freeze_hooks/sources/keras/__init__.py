"""Keras models as sources: what they take, how they are traced, what they answer."""
