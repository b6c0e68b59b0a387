"""Compares a run of run.py with a recorded one: python benchmarks/compare.py RECORDED NEW

If ratios got over 25 % worse or were not measured again, it prints them and exits with status 1.
It compares ratios, not seconds, so that the runs may come from different machines. Use it before a
release: ratios vary on machines with other work.
"""

import json
import sys

WORSE = 1.25


def compare(recorded, new):
    """Return a line for each ratio that got worse; both dicts are {name: {"value", "better"}}."""
    lines = []
    for name, before in recorded.items():
        if name not in new:
            lines.append(f"{name}: {before['value']:.3g} before, not measured now")
            continue
        old, now = before["value"], new[name]["value"]
        lower = before["better"] == "lower"
        # A difference of two measurements may be below 0 by chance.
        bound = max(old, old * WORSE) if lower else min(old, old / WORSE)
        if now > bound if lower else now < bound:
            lines.append(f"{name}: {old:.3g} before, {now:.3g} now ({before['better']} is better)")
    return lines


def main(recorded, new):
    """Print the ratios that got worse, and return the exit status."""
    loaded = []
    for path in (recorded, new):
        with open(path) as file:
            loaded.append(json.load(file)["ratios"])
    worse = compare(*loaded)
    print("\n".join(worse) or f"none of {len(loaded[0])} ratios got worse by over 25 %")
    return 1 if worse else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
