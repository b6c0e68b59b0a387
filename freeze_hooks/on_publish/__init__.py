"""Functions for `on_publish=`: other file formats, uploads, TensorBoard."""
