"""The part `verify`: the time that `verify=` adds to a save, in this process and in a separate one.

Before a file appears, it is run on the model's feeds, and its answers are compared with the live
session's.
"""

import functools

import models
from measure import MIB, take_turns
from session_freeze import Session, v1

import freeze_hooks as fh


def times(name, rounds, directory):
    """In a child process: return the seconds of a save with and without `verify=`."""
    v1.logging.set_verbosity(v1.logging.ERROR)
    model = models.build(name)
    feeds = {tensor.split(":")[0]: value for tensor, value in model.inputs.items()}
    ways = {
        "verified": fh.Verify(feeds),
        "verified_apart": fh.Verify(feeds, own_process=True),
    }
    with Session(model, directory, {way: {"verify": verify} for way, verify in ways.items()}) as s:
        calls = {"freeze": s.freeze, "raw": lambda: s.folder.raw(s.size)}
        for way in ways:
            calls[way] = functools.partial(s.freeze_by, s.more[way])
        seconds = take_turns(calls, rounds, s.folder.clean)
        differences = [s.more[way].artifacts[-1].max_difference for way in ways]
        return {"file_mib": s.size / MIB, "seconds": seconds, "difference": max(differences)}
