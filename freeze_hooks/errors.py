"""What can go wrong, as exceptions a caller can tell apart."""

from __future__ import annotations


class FreezeError(ValueError):
    """Catch this to catch every error that freeze_hooks raises on its own account."""


class UnknownNameError(FreezeError):
    """An operation or tensor name is not in the graph; the message lists near matches."""


class MissingNodeError(UnknownNameError, AssertionError):
    """A node is not in a graph, where TensorFlow's function of the name raises AssertionError."""


class NotFreezableError(FreezeError):
    """The wanted outputs need something a frozen file cannot hold, such as an assignment."""


class TooLargeError(FreezeError):
    """The file would pass 2 GiB, the most a protocol buffer parser accepts."""


class NotFiniteError(FreezeError):
    """A variable holds NaN or infinity, and check_numerics="raise" forbids it."""


class NotVerifiedError(FreezeError):
    """A file that was written does not answer as the live model does, so it is not published."""


class InvalidFileError(FreezeError):
    """A file is truncated, not a GraphDef, or contradicts itself."""


class ConversionError(FreezeError):
    """The converter of another format cannot express what a frozen file holds."""
