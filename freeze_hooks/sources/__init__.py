"""Reads graphs and their values from sessions, functions, Keras models and files."""
