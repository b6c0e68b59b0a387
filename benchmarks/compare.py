"""Whether a run of run.py is as good as a recorded one: python benchmarks/compare.py RECORDED NEW

Exit status 1, and their names, if ratios got worse by over 25 %, or were not measured anew.
Ratios, and not seconds, so that the two may come from different machines; it is release work, since
they scatter on machines that do other things.
"""

import json
import sys

WORSE = 1.25


def compare(recorded, new):
    """Lines on what got worse between two dicts of ratios, {name: {"value", "better"}}."""
    lines = []
    for name, before in recorded.items():
        if name not in new:
            lines.append(f"{name}: {before['value']:.3g} before, not measured now")
            continue
        old, now = before["value"], new[name]["value"]
        lower = before["better"] == "lower"
        # Figures that are net of something may be below 0, by chance.
        bound = max(old, old * WORSE) if lower else min(old, old / WORSE)
        if now > bound if lower else now < bound:
            lines.append(f"{name}: {old:.3g} before, {now:.3g} now ({before['better']} is better)")
    return lines


def main(recorded, new):
    """Prints what got worse; returns the exit status."""
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
