"""Computes ratios from the numbers of run.py, and their targets; does not need TensorFlow."""

import statistics

BIG = 470  # MiB: what "from half a gigabyte on" means
HUNDRED_MB = 100e6 / (1 << 20)  # MiB


def later(result, peer):
    """Return the median seconds of a peer's later calls."""
    return statistics.median(result["seconds"][peer]["later"])


def median(result, peer, to):
    """Return the ratio of two peers' medians."""
    return later(result, peer) / later(result, to)


def entry(value, better, target=None):
    """Return a ratio with its better direction ("lower" or "higher") and its target or None."""
    return {"value": value, "better": better, "target": target}


def holds(ratio):
    """Return whether a ratio meets its target; None without a target."""
    if ratio["target"] is None:
        return None
    if ratio["better"] == "lower":
        return ratio["value"] <= ratio["target"]
    return ratio["value"] >= ratio["target"]


def ratios(numbers):
    """Return {name: entry} of all measured parts."""
    found = {}
    for part, of_part in PARTS.items():
        if part in numbers:
            made = of_part(numbers[part]["models"])
            found.update({f"{part}: {name}": ratio for name, ratio in made.items()})
    return found


def _session(models):
    found = {}
    for name, result in models.items():
        found.update(_bytes(name, result))
        found[f"{name}, Saver.save / a later save"] = entry(
            median(result, "saver", "freeze"), "higher"
        )
        if "memory_mib" in result:
            used = result["memory_mib"]["freeze"]["later"]
            allowed = 64 + result["small_variables_mib"]
            what = f"{name}, memory above training / (64 MiB and all variables below 1 MiB)"
            found[what] = entry(used / allowed, "lower", 1)
            weights = result["memory_mib"]["stall"]["later"] / result["file_mib"]
            found[f"{name}, memory while writing in background / weights"] = entry(
                weights, "lower", 1.05
            )
        if "stall" in result["seconds"]:
            found[f"{name}, stall in background / fetching all variables"] = entry(
                median(result, "stall", "fetch"), "lower", 1.2
            )
    return found


def _bytes(name, result):
    big = result["file_mib"] >= BIG
    return {
        f"{name}, a later save / raw write": entry(
            median(result, "freeze", "raw"), "lower", 1.2 if big else None
        ),
        f"{name}, converter / a later save": entry(
            median(result, "converter", "freeze"), "higher", 12 if big else None
        ),
    }


def _keras(models):
    found = {}
    for name, result in models.items():
        found[f"{name}, v2 route / a later save"] = entry(
            median(result, "v2", "freeze"), "higher", 100 if name == "resnet50" else None
        )
        found[f"{name}, `.keras` / a later save"] = entry(
            median(result, "keras", "freeze"), "higher", 1
        )
        found[f"{name}, `model.export` / a later save"] = entry(
            median(result, "export", "freeze"), "higher"
        )
        if result["variables"] > 100:
            each = later(result, "stall") * 1e6 / result["variables"]
            found[f"{name}, microseconds of stall a variable"] = entry(each, "lower", 100)
        if result["file_mib"] >= 90:
            over = median(result, "freeze", "raw")
            found[f"{name}, a later save / raw write"] = entry(over, "lower", 2)
            weights = result["memory_mib"]["background"] / result["file_mib"]
            found[f"{name}, memory while writing in background / weights"] = entry(
                weights, "lower", 1.05
            )
    return found


def _checkpoint(models):
    found = {}
    for name, result in models.items():
        base, theirs, ours = (
            later(result, peer) for peer in ("import", "tensorflow", "freeze_hooks")
        )
        found[f"{name}, freeze_graph / ours, net of the import"] = entry(
            (theirs - base) / (ours - base), "higher", 3
        )
        base, theirs, ours = (
            statistics.median(result["memory_mib"][peer])
            for peer in ("import", "tensorflow", "freeze_hooks")
        )
        found[f"{name}, memory of ours / of freeze_graph, net of the import"] = entry(
            (ours - base) / (theirs - base), "lower"
        )
        found[f"{name}, memory of ours, net of the import / largest variable"] = entry(
            (ours - base) / result["largest_mib"], "lower", 1
        )
    return found


def _plan(models):
    found = {}
    for name, result in models.items():
        wanted = name == "nodes_20k"
        found[f"{name}, plan / as_graph_def and extract_sub_graph"] = entry(
            median(result, "plan", "prune"), "lower", 2 if wanted else None
        )
        if wanted:
            found[f"{name}, seconds of a plan"] = entry(later(result, "plan"), "lower", 1)
    by_nodes = sorted(models.values(), key=lambda result: result["nodes"])
    if len(by_nodes) > 1:
        few, many = by_nodes[0], by_nodes[-1]
        grown = median(many, "freeze", "raw") / median(few, "freeze", "raw")
        what = "a later save with {:,} nodes / with {:,}, each over its raw write"
        found[what.format(many["nodes"], few["nodes"])] = entry(grown, "lower", 1.1)
    large = [result for result in by_nodes if result["nodes"] > 5000]
    if len(large) > 1:
        few, many = large[0], large[-1]
        each = [later(result, "plan") / result["nodes"] for result in (many, few)]
        what = "a node's time in a plan of {:,} / of {:,}"
        found[what.format(many["nodes"], few["nodes"])] = entry(each[0] / each[1], "lower", 1.25)
    return found


def _scaling(models):
    found = {}
    for name, result in models.items():
        found.update(_bytes(name, result))
    return found


def shares_of(result):
    """Return {stage: median of its share of a save}."""
    saves = result["saves"]
    stages = {stage for save in saves for stage in save if stage != "save"}
    return {
        stage: statistics.median(save.get(stage, 0.0) / save["save"] for save in saves)
        for stage in stages
    }


def _shares(models):
    return {
        f"{name}, hash / a save": entry(shares_of(result)["hash"], "lower", 0.03)
        for name, result in models.items()
    }


def _verify(models):
    found = {}
    for name, result in models.items():
        plain = later(result, "plain")
        allowed = 2 * later(result, "forward") + later(result, "read")
        proof = later(result, "later") - plain
        what = f"{name}, a later proof / (two forward passes and one read of the file)"
        found[what] = entry(proof / allowed, "lower", 1)
        what = f'{name}, a save with verify="first" / without'
        found[what] = entry(median(result, "read_back", "plain"), "lower", 1.15)
        if name.endswith("vgg16"):
            first = later(result, "first") - plain
            found[f"{name}, seconds of a first proof"] = entry(first, "lower", 8)
        if "memory_mib" in result:
            memory = result["memory_mib"]
            more = (memory["later"] - memory["plain"]) / result["file_mib"]
            found[f"{name}, memory of a later proof / weights"] = entry(more, "lower", 1.1)
    return found


def _saved_model(models):
    found = {}
    for name, result in models.items():
        for way, what in (("constants", "a SavedModel"), ("variables", "one with variables=True")):
            if result["file_mib"] >= HUNDRED_MB:
                wanted = 1.05 if way == "constants" else None
                if "in_memory" in result:  # the disk's own times vary by more than the target
                    over = entry(median(result["in_memory"], way, "pb"), "lower", wanted)
                    found[f"{name}, {what} / a `.pb`, in memory"] = over
                found[f"{name}, {what} / a `.pb`"] = entry(median(result, way, "pb"), "lower")
            else:
                more = (later(result, way) - later(result, "pb")) * 1000
                found[f"{name}, milliseconds of {what} beyond a `.pb`"] = entry(more, "lower", 2)
            if "memory_mib" in result and result["file_mib"] >= HUNDRED_MB:
                memory = result["memory_mib"]
                more = (memory[way] - memory["pb"]) / result["file_mib"]
                found[f"{name}, memory of {what} beyond a `.pb` / weights"] = entry(
                    more, "lower", 0.1
                )
        for peer, what in SAVED_BY.items():
            if peer in result["seconds"]:
                wanted = 20 if (name, peer) == ("keras_resnet50", "export") else None
                found[f"{name}, {what} / a SavedModel"] = entry(
                    median(result, peer, "constants"), "higher", wanted
                )
        found[f"{name}, a SavedModel / raw write"] = entry(
            median(result, "constants", "raw"), "lower"
        )
        if "orbax_stall" in result["seconds"]:
            found[f"{name}, stall of OrbaxCheckpoint / of a SavedModel"] = entry(
                median(result, "orbax_stall", "stall"), "higher"
            )
    return found


SAVED_BY = {
    "builder": "SavedModelBuilder",
    "tf_save": "`tf.saved_model.save`",
    "export": "`model.export`",
    "orbax": "OrbaxCheckpoint",
}


def _throughput(models):
    found = {}
    for name, result in models.items():
        peers = [peer for peer in ("freeze", "background") if peer in result["seconds"]]
        for peer in peers:  # the target applies to the best peer
            found[f"{name}, a step with checkpoints and {peer} / with checkpoints"] = entry(
                median(result, peer, "checkpoint"), "lower", 1.02 if peer == peers[-1] else None
            )
    return found


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
