"""Makes tables, figures and the README's sections from the numbers of run.py."""

import json
import os
import statistics

import figures
from measure import SLOW
from ratios import holds, later, ratios, shares_of

HERE = os.path.dirname(os.path.abspath(__file__))
README = os.path.join(HERE, "README.md")
FRONT_PAGE = os.path.join(os.path.dirname(HERE), "README.md")
RECORDED = os.path.join(HERE, "results", "all.json")
NAMES = {
    "freeze": "FreezeHook",
    "stall": "in background: stall",
    "fetch": "fetching all variables",
    "saver": "Saver.save",
    "converter": "converter",
    "raw": "raw write",
    "freeze_after_checkpoint": "FreezeHook after the checkpoint",
    "raw_after_checkpoint": "raw write after the checkpoint",
    "keras": "`.keras`",
    "export": "`model.export`",
    "v2": "v2 route",
    "orbax": "OrbaxCheckpoint",
    "plan": "plan",
    "prune": "as_graph_def, extract_sub_graph",
    "plain": "save",
    "first": "with the first proof",
    "read_back": 'with `verify="first"`, later',
    "forward": "one forward pass",
    "read": "one read",
    "later": "with a later proof",
    "pb": "`.pb`",
    "constants": "SavedModel",
    "variables": "with `variables=True`",
    "builder": "SavedModelBuilder",
    "tf_save": "`tf.saved_model.save`",
    "orbax_stall": "OrbaxCheckpoint in background: stall",
}


def table(heads, rows):
    """Return a Markdown table; its first column is text, the others are numbers."""
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "--:|" * (len(heads) - 1)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def spread(times, scale=1.0):
    """Return the median, with the fastest and the slowest, as text."""
    least, middle, most = (f"{take(times) * scale:.3g}" for take in (min, statistics.median, max))
    return f"{middle} ({least}..{most})"


def cells(result, peers, rounds):
    """Return a cell with each peer's seconds, and the number of its turns if it had fewer."""
    found = []
    for peer in peers:
        if peer not in result["seconds"]:
            found.append("")
            continue
        times = result["seconds"][peer]["later"]
        found.append(spread(times) + (f" n={len(times)}" if len(times) < rounds else ""))
    return found


def with_memory(numbers):
    """Return (name, result) of the models with measured memory."""
    return [item for item in numbers["models"].items() if "memory_mib" in item[1]]


def measured(numbers, order):
    """Return the peers of `order` that at least one model has."""
    every = set().union(*(result["seconds"] for result in numbers["models"].values()))
    return [peer for peer in order if peer in every]


def seconds_of(numbers, order, more, heads):
    """Return a table of seconds; `more(result)` gives the cells of the first columns, `heads`."""
    peers = measured(numbers, order)
    rows = [
        [name, f"{result['file_mib']:.3g}", *more(result)] + cells(result, peers, numbers["rounds"])
        for name, result in numbers["models"].items()
    ]
    return table(["model", "file, MiB", *heads] + [NAMES[peer] for peer in peers], rows)


def _session(numbers):
    def more(result):
        firsts = [result["seconds"][peer]["first"] for peer in ("freeze", "saver", "converter")]
        return [
            f"{result['nodes']:,} / {result['saved_nodes']:,}",
            f"{result['plan_seconds']:.3g}",
            f"{result['prune_seconds']:.3g}",
            " / ".join(f"{first:.3g}" for first in firsts),
        ]

    heads = ["nodes: training, saved", "plan", NAMES["prune"]]
    heads.append("first save: FreezeHook / Saver.save / converter")
    order = ["freeze", "stall", "fetch", "saver", "converter", "raw"]
    order += ["freeze_after_checkpoint", "raw_after_checkpoint"]
    memory = []
    for name, result in with_memory(numbers):
        used = result["memory_mib"]
        mib = [result["plan_mib"], used["freeze"]["first"], used["freeze"]["later"]]
        mib.append(max(used["stall"].values()))
        mib += [max(used[peer].values()) for peer in ("saver", "converter")]
        memory.append([name] + [f"{value:.0f}" for value in mib])
    heads_of_memory = ["model", "plan keeps", "FreezeHook: first save", "later save"]
    heads_of_memory.append("in background, until it is written")
    close = [
        [name, *(spread(result["in_memory"]["seconds"][peer]["later"]) for peer in order[:3])]
        for name, result in numbers["models"].items()
        if "in_memory" in result
    ]
    far = max(result["difference"] for result in numbers["models"].values())
    return [
        seconds_of(numbers, order, more, heads),
        "Memory above training, MiB at the peak:",
        table(heads_of_memory + ["Saver.save", "converter"], memory),
        f"Largest difference between a file's outputs and the session's: {far:.1e}.",
    ]


def _keras(numbers):
    def more(result):
        return [result["variables"], f"{result['plan_seconds']:.3g}"]

    order = ["freeze", "stall", "raw", "keras", "export", "v2", "orbax"]
    text = seconds_of(numbers, order, more, ["variables", "plan"])
    rows = []
    for name, result in with_memory(numbers):
        used = [result["memory_mib"][peer] for peer in ("freeze", "background", "v2", "keras")]
        rows.append([name] + [f"{mib:.0f}" for mib in used])
    heads = ["model", "FreezeCallback", "in background, training on", "v2 route", "`.keras`"]
    text = text.replace("FreezeHook", "FreezeCallback")
    return [text, "Memory above training, MiB at the peak:", table(heads, rows)]


def _checkpoint(numbers):
    rows = []
    for name, result in numbers["models"].items():
        peers = ("import", "tensorflow", "freeze_hooks")
        mib = [statistics.median(result["memory_mib"][peer]) for peer in peers]
        base, theirs, ours = (later(result, peer) for peer in peers)
        rows.append(
            [name, f"{result['saved_nodes']:,}", f"{result['file_mib']:.3g}"]
            + [spread(result["seconds"][peer]["later"]) for peer in peers]
            + [f"{theirs - base:.3g}", f"{ours - base:.3g}"]
            + [f"{result['largest_mib']:.0f}", f"{mib[1] - mib[0]:.0f}", f"{mib[2] - mib[0]:.0f}"]
        )
    heads = ["checkpoint", "nodes", "file, MiB", "import", "freeze_graph", "ours"]
    heads += ["freeze_graph, net of the import", "ours, net", "largest variable, MiB"]
    return [table(heads + ["memory of freeze_graph, net, MiB", "of ours, net"], rows)]


def _plan(numbers):
    peers = ["plan", "prune", "freeze", "raw"]
    rows = []
    for result in numbers["models"].values():
        found = cells(result, peers, numbers["rounds"])
        each = later(result, "plan") / result["nodes"] * 1e6
        nodes = [f"{result['nodes']:,}", f"{result['saved_nodes']:,}"]
        rows.append([*nodes, found[0], f"{each:.3g}", *found[1:]])
    heads = ["nodes", "of which saved", "plan", "microseconds a node", NAMES["prune"]]
    return [table(heads + ["a later save", "raw write"], rows)]


def _scaling(numbers):
    order = ["freeze", "saver", "converter", "raw"]
    return [seconds_of(numbers, order, lambda result: [], [])]


def _shares(numbers):
    stages = ["read", "check for NaN", "hash", "write", "reserve", "fsync"]
    rows = []
    for name, result in numbers["models"].items():
        found = shares_of(result)
        seconds = spread([save["save"] for save in result["saves"]])
        parts = [f"{found.get(stage, 0.0):.1%}" for stage in stages]
        rest = 1 - sum(found.values())
        rows.append([name, f"{result['file_mib']:.3g}", seconds, *parts])
        rows[-1].append(f"{rest:.1%}" if rest > 0 else "")
    return [table(["model", "file, MiB", "a later save", *stages, "the rest"], rows)]


def _verify(numbers):
    def more(result):
        return [f"{result['difference']:.1e}"]

    order = ["plain", "first", "later", "read_back", "forward", "read"]
    rows = [
        [name, *(f"{result['memory_mib'][way]:.0f}" for way in order[:4])]
        for name, result in with_memory(numbers)
    ]
    return [
        seconds_of(numbers, order, more, ["largest difference"]),
        "Memory above training, MiB at the peak:",
        table(["model", *(NAMES[way] for way in order[:4])], rows),
    ]


def _saved_model(numbers):
    order = ["constants", "variables", "pb", "stall", "raw"]
    order += ["tf_save", "export", "builder", "orbax", "orbax_stall"]
    # a stall's memory is that of the whole save
    heads = {**NAMES, "stall": "in background", "orbax_stall": "OrbaxCheckpoint in background"}
    peers = [peer for peer in measured(numbers, order) if peer != "raw"]
    rows = []
    for name, result in with_memory(numbers):
        used = result["memory_mib"]
        rows.append([name, *(f"{used[peer]:.0f}" if peer in used else "" for peer in peers)])
    far = max(result["difference"] for result in numbers["models"].values())
    return [
        seconds_of(numbers, order, lambda result: [], []),
        "Memory above training, MiB at the peak:",
        table(["model", *(heads[peer] for peer in peers)], rows),
        "Seconds in a file system in memory, where no disk's own times hide the difference:",
        table(["model", *(NAMES[peer] for peer in order[:3])], close),
        f"Largest difference between a SavedModel's outputs and the live model's: {far:.1e}.",
    ]


def front_table(result):
    """Return README.md's table: what one save of a Keras model as a SavedModel costs."""
    freeze = 'FreezeCallback(..., format="saved_model")'
    peers = [  # what it is called, and the peers of its time, its stall and its memory
        (f"`{freeze}`", "constants", "stall", "stall"),
        ("the same with `save_on_background=False`", "constants", "constants", "constants"),
        ("`tf.saved_model.save`", "tf_save", "tf_save", "tf_save"),
        ("`model.export`", "export", "export", "export"),
        ("`OrbaxCheckpoint`, no SavedModel", "orbax", "orbax_stall", "orbax_stall"),
    ]
    rows = [
        [what, f"{later(result, whole):.2g}", f"{later(result, stall):.2g}"]
        + [f"{result['memory_mib'][memory]:.0f}"]
        for what, whole, stall, memory in peers
        if whole in result["seconds"]
    ]
    heads = [f"ResNet-50, {result['file_mib']:.0f} MiB", "seconds", "training waits, seconds"]
    return table([*heads, "memory, MiB"], rows)


def _throughput(numbers):
    rows = []
    for result in numbers["models"].values():
        for peer, times in result["seconds"].items():
            against = [later(result, peer) / later(result, base) - 1 for base in BASES]
            rows.append([TRAININGS[peer], spread(times["later"], 1000)])
            rows[-1] += [f"{part:+.1%}" for part in against]
    heads = ["training", "ms a step", "more than without saves", "more than with checkpoints"]
    return [table(heads, rows)]


BASES = ["no save", "checkpoint"]
TRAININGS = {
    "no save": "no saves",
    "checkpoint": "a checkpoint every 100 steps",
    "freeze": "with FreezeHook",
    "background": "with FreezeHook in background",
}
PARTS = {
    "session": _session,
    "keras": _keras,
    "checkpoint": _checkpoint,
    "plan": _plan,
    "scaling": _scaling,
    "shares": _shares,
    "verify": _verify,
    "saved_model": _saved_model,
    "throughput": _throughput,
}


def targets(numbers):
    """Return a table of the ratios with targets: the measured value, and whether it holds."""
    rows = []
    for name, ratio in numbers["ratios"].items():
        if ratio["target"] is not None:
            sign = "<=" if ratio["better"] == "lower" else ">="
            held = "yes" if holds(ratio) else "**no**"
            rows.append([f"{name} {sign} {ratio['target']:g}", f"{ratio['value']:.3g}", held])
    return table(["target", "measured", "holds"], rows)


def section(part, numbers):
    """Return one part as Markdown paragraphs."""
    rounds = f"{numbers['rounds']} later calls of each"
    if part == "throughput":
        rounds = f"{2 * numbers['rounds']} later blocks of each"
    about = (
        f"{numbers['machine']} Load before: {numbers['load_before']:.1f}. "
        f"Seconds: medians of {rounds} (fastest..slowest)"
    )
    about += f"; of calls over {SLOW} s as many as n= says." if part == "keras" else "."
    return [about, *PARTS[part](numbers)]


def text(numbers):
    """Return all parts and targets as Markdown."""
    parts = [part for part in PARTS if part in numbers and numbers[part]["models"]]
    paragraphs = [line for part in parts for line in [f"## {part}", *section(part, numbers[part])]]
    return "\n\n".join([*paragraphs, "## targets", targets(numbers)])


def publish(numbers, out, readme):
    """Write the JSON and, beside it, the figures; with `readme` also README.md's sections."""
    done = {part: found for part, found in numbers.items() if part in PARTS and found["models"]}
    numbers["ratios"] = ratios(done)
    with open(out, "w") as file:
        json.dump(numbers, file, indent=1, sort_keys=True)
    drawn = figures.draw(done, os.path.dirname(out))
    if readme:
        for part, found in done.items():
            pictures = [f"![{title}](results/{name})" for name, title in drawn.get(part, [])]
            replace_section(part, pictures + section(part, found))
        replace_section("targets", [targets(numbers)])
        shown = done.get("saved_model", {"models": {}})["models"].get("keras_resnet50")
        if shown is not None:
            replace_section("saved_model", [front_table(shown)], FRONT_PAGE)


def replace_section(name, paragraphs, readme=README):
    """Replace the text between two markers of a page."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    with open(readme) as file:
        before, rest = file.read().split(begin)
    whole = "\n\n".join([begin, *paragraphs, end])
    with open(readme, "w") as file:
        file.write(before + whole + rest.split(end)[1])
