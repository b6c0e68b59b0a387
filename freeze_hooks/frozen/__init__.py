"""The file: how it is written, read and described."""
