"""The part `scaling`: what the number of bytes costs a session's save, from 1 MB to 1.9 GB."""

from measure import apart

DEFAULT = ["embedding_1", "embedding_8", "embedding_64", "embedding_512", "embedding_1900"]
QUICK = ["embedding_1", "embedding_4"]
PEERS = ["freeze", "saver", "converter", "raw"]


def run(name, options):
    """One matrix of so many MB; the part `session` may have measured it in this run."""
    if name in options.measured:
        return options.measured[name]
    return apart(
        "session_freeze",
        "times",
        name=name,
        rounds=options.rounds,
        directory=options.dir,
        only=PEERS,
    )
