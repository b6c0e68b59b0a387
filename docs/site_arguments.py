"""For griffe, which reads the docstrings: joins `a, b,` with `c: text` on the next line."""

import re

import griffe

WRAPPED = re.compile(r"(?<=,)\n +(?=[\w*, ]+(?:: |,\n))")


class OneLine(griffe.Extension):
    def on_object(self, *, obj, **kwargs):
        if obj.docstring is not None:
            obj.docstring.value = WRAPPED.sub(" ", obj.docstring.value)
