"""Draws the figures of run.py's numbers."""

import os

from ratios import later, shares_of

SESSION = {
    "freeze": "FreezeHook",
    "saver": "Saver.save",
    "converter": "convert_variables_to_constants",
    "raw": "raw write",
}
KERAS = {
    "freeze": "FreezeCallback",
    "stall": "in background: stall",
    "raw": "raw write",
    "keras": ".keras",
    "export": "model.export",
    "v2": "v2 route",
}
CHECKPOINT = {
    "import": "import tensorflow",
    "tensorflow": "freeze_graph",
    "freeze_hooks": "freeze_hooks.freeze_graph",
}
SAVED_MODEL = {
    "constants": "SavedModel",
    "variables": "SavedModel, variables=True",
    "pb": ".pb",
    "stall": "in background: stall",
    "raw": "raw write",
    "tf_save": "tf.saved_model.save",
    "export": "model.export",
    "builder": "SavedModelBuilder",
    "orbax": "OrbaxCheckpoint",
    "orbax_stall": "its stall in background",
}
PLAN = {"plan": "plan", "prune": "as_graph_def, extract_sub_graph", "freeze": "a later save"}
STAGES = ["read", "check for NaN", "hash", "write", "reserve", "fsync"]


def draw(numbers, directory):
    """Draw each measured part, and return {part: [(file, title)]}."""
    made = {}
    for part, (title, fill) in FIGURES.items():
        if part not in numbers:
            continue
        chart, axes = _pyplot().subplots(figsize=(9, 4.5))
        fill(axes, numbers[part]["models"])
        axes.legend(fontsize=8, ncol=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        chart.tight_layout()
        chart.savefig(os.path.join(directory, part + ".png"), dpi=120)
        _pyplot().close(chart)
        made[part] = [(part + ".png", title)]
    return made


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _bars(axes, models, peers):
    """Draw a group of bars for each model: the median, with error bars from fastest to slowest."""
    width = 0.85 / len(peers)
    for place, (peer, label) in enumerate(peers.items()):
        results = [(i, r) for i, r in enumerate(models.values()) if peer in r["seconds"]]
        lefts = [i + (place - (len(peers) - 1) / 2.0) * width for i, _ in results]
        heights = [later(result, peer) for _, result in results]
        axes.bar(lefts, heights, width, label=label, yerr=_errors(results, peer), ecolor="gray")
    axes.set_yscale("log")
    axes.set_ylabel("seconds")
    axes.set_xticks(range(len(models)))
    axes.set_xticklabels(
        [f"{name}\n{result['file_mib']:.3g} MiB" for name, result in models.items()], fontsize=8
    )


def _errors(results, peer):
    below = [later(r, peer) - min(r["seconds"][peer]["later"]) for _, r in results]
    above = [max(r["seconds"][peer]["later"]) - later(r, peer) for _, r in results]
    return [below, above]


def _lines(axes, results, peers, along):
    """Draw a line for each peer over `along(result)`, on logarithmic scales."""
    results = sorted(results, key=along)
    for peer, label in peers.items():
        x = [along(result) for result in results]
        y = [later(result, peer) for result in results]
        errors = _errors([(None, result) for result in results], peer)
        axes.errorbar(x, y, yerr=errors, marker="o", markersize=4, capsize=2, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylabel("seconds")
    axes.grid(True, which="major", alpha=0.3)


def _plan(axes, models):
    results = sorted(models.values(), key=lambda result: result["nodes"])
    _lines(axes, results, PLAN, lambda result: result["nodes"])
    last = results[-1]
    ends = [results[0]["nodes"], last["nodes"]]
    each = later(last, "plan") / last["nodes"]
    axes.plot(ends, [each * end for end in ends], "--", color="gray", label="in proportion")
    axes.set_xlabel("nodes of the training graph")


def _scaling(axes, models):
    _lines(axes, models.values(), SESSION, lambda result: result["file_mib"])
    axes.set_xlabel("MiB of the file")


def _shares(axes, models):
    found = [shares_of(result) for result in models.values()]
    left = [0.0] * len(found)
    for stage in STAGES:
        parts = [100 * shares.get(stage, 0.0) for shares in found]
        axes.barh(range(len(found)), parts, left=left, label=stage)
        left = [start + part for start, part in zip(left, parts)]
    axes.axvline(100, linestyle="--", linewidth=1, color="gray")
    axes.set_yticks(range(len(found)))
    axes.set_yticklabels(list(models))
    axes.set_xlabel("% of a save's time")


FIGURES = {
    "session": ("Seconds of a save of a session", lambda a, m: _bars(a, m, SESSION)),
    "keras": ("Seconds of a save of a Keras model", lambda a, m: _bars(a, m, KERAS)),
    "checkpoint": ("Seconds of a process", lambda a, m: _bars(a, m, CHECKPOINT)),
    "plan": ("Seconds over the number of nodes", _plan),
    "scaling": ("Seconds over the number of bytes", _scaling),
    "shares": ("Where the time of a save goes", _shares),
    "saved_model": ("Seconds of a SavedModel", lambda a, m: _bars(a, m, SAVED_MODEL)),
}
