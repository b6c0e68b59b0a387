"""The options that all adapters share: which values are accepted, and what they become."""

import dataclasses

import numpy as np
import pytest

import freeze_hooks as fh
from freeze_hooks.training.options import Options
from freeze_hooks.training.session_delivery import SessionOptions


@pytest.mark.parametrize(
    "given, error",
    [
        ({"on_publish": [print, "print"]}, "on_publish= takes functions"),
        ({"mode": "most"}, "mode= is"),
        ({"resume": "no"}, "resume= is"),
        ({"threshold": "low"}, "the threshold"),
        ({"keep": 0}, "keep= is a number of files from 1 on"),
        ({"keep": 1.5}, "keep="),
    ],
)
def test_what_is_refused(given, error):
    for kind in (Options, SessionOptions):
        with pytest.raises(fh.FreezeError, match=error):
            kind.make(**given)


@pytest.mark.parametrize(
    "given, error",
    [
        ({"name": "a/b"}, "name= takes letters"),
        ({"save_best_only": True, "monitor": "loss"}, "needs evaluate= and monitor="),
    ],
)
def test_what_is_refused_for_a_session(given, error):
    with pytest.raises(fh.FreezeError, match=error):
        SessionOptions.make(**given)


def test_what_is_given_becomes_plain(tmp_path):
    made = SessionOptions.make(
        print, keep=np.int64(3), threshold=np.float32(0.5), output_dir=tmp_path
    )
    assert made.on_publish == (print,) and made.output_dir == str(tmp_path)
    assert (made.keep, made.threshold) == (3, 0.5) and type(made.keep) is int
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.keep = 4
