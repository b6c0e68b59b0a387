"""What SavedModels note of themselves, and what programs have left."""

import json
import os
import re

import xxhash

ABOUT = os.path.join("assets.extra", "freeze_hooks.json")
TEMPORARY = re.compile(r"\..*\.(tmp|old)\Z")


def assert_complete(path):
    """All files of an artifact's directory have the sizes and hashes that it notes; the note."""
    with open(os.path.join(str(path), ABOUT)) as file:
        about = json.load(file)
    assert {"saved_model.pb", "model.json"} & set(about["files"])
    for name, noted in about["files"].items():
        with open(os.path.join(str(path), name), "rb") as file:
            content = file.read()
        assert noted["bytes"] == len(content), (path, name)
        if "hash" in noted:  # the checkpoint's own files have none
            assert noted["hash"]["value"] == xxhash.xxh3_64(content).hexdigest(), (path, name)
    return about


def left_over(directory):
    """The paths of all temporary files and directories under a directory."""
    return {
        os.path.join(where, name)
        for where, inner, files in os.walk(str(directory))
        for name in inner + files
        if TEMPORARY.match(name)
    }
