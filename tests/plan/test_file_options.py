"""The options of a file: what they refuse, and what `verify` becomes."""

import pytest

import freeze_hooks as fh
from freeze_hooks.plan.file_options import PLAIN, FileOptions


@pytest.mark.parametrize(
    "given, error",
    [
        ({"weights": "int4"}, "weights= is one of"),
        ({"check_numerics": "maybe"}, "check_numerics= is one of"),
        ({"verify": 3}, "verify= "),
        ({"weights": "float16", "optimize": True}, "choose one"),
    ],
)
def test_what_is_refused(given, error):
    with pytest.raises(fh.FreezeError, match=error):
        FileOptions(**given).checked()


def test_verify_gets_its_tolerance():
    assert PLAIN.checked().verify is None
    exact = FileOptions(verify=True).checked()
    narrow = FileOptions(verify={"x": 1}, weights="bfloat16").checked()
    assert exact.verify.tolerance < narrow.verify.tolerance
    assert narrow.verify.feeds == {"x": 1} and narrow.checked() == narrow
