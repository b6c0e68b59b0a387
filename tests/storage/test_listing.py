"""What is at a path: checkpoints of either format, and file systems that cannot be asked."""

import pytest

from freeze_hooks.storage import listing


@pytest.mark.parametrize("ending", [".index", "-00000-of-00002", ""])
def test_a_checkpoint_of_either_format(ending, tmp_path):
    (tmp_path / f"model.ckpt-1{ending}").write_text("")
    assert listing.checkpoint_may_exist(str(tmp_path / "model.ckpt-1"))
    assert not listing.checkpoint_may_exist(str(tmp_path / "model.ckpt-2"))
    assert not listing.checkpoint_may_exist(str(tmp_path / "missing" / "model.ckpt-1"))


def test_a_file_system_that_cannot_be_asked():
    """A checkpoint then does not count as deleted: its frozen file would be deleted too."""
    with pytest.raises(OSError, match="nosuchscheme"):
        listing.checkpoint_exists("nosuchscheme://bucket/model.ckpt-1")
    assert listing.checkpoint_may_exist("nosuchscheme://bucket/model.ckpt-1")
