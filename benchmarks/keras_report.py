"""From the numbers of keras_freeze.py to targets, a table, a figure and the README."""

import json
import os
import statistics

import report

BEGIN, END = "<!-- keras_freeze: begin -->", "<!-- keras_freeze: end -->"
MEMORY_PEERS = ["freeze", "background", "v2", "keras"]
COLUMNS = [
    ("freeze", "FreezeCallback"),
    ("stall", "in background: stall"),
    ("raw", "raw write"),
    ("keras", "`.keras`"),
    ("export", "`model.export`"),
    ("v2", "v2 route"),
    ("orbax", "OrbaxCheckpoint"),
]


def median(result, peer):
    """Median seconds of a peer."""
    return statistics.median(result["seconds"][peer])


def targets(numbers):
    """The targets as Markdown, each with its number and whether it holds."""
    lines = ["| target | measured | holds |", "|---|--:|---|"]

    def add(what, value, holds):
        lines.append(f"| {what} | {value:.2f} | {'yes' if holds else '**no**'} |")

    models = numbers["models"]
    faster = median(models["resnet50"], "v2") / median(models["resnet50"], "freeze")
    add("resnet50: v2 route / a later save >= 60", faster, faster >= 60)
    for name, result in models.items():
        over = median(result, "freeze") / median(result, "raw")
        if result["file_mib"] >= 90:
            add(f"{name}: a later save / raw write <= 2", over, over <= 2)
        keras = median(result, "keras") / median(result, "freeze")
        add(f"{name}: `.keras` / a later save > 1", keras, keras > 1)
        each = median(result, "stall") * 1e6 / result["variables"]
        if result["variables"] > 100:
            add(f"{name}: stall in background, microseconds a variable <= 100", each, each <= 100)
        weights = result["memory_mib"]["background"] / result["file_mib"]
        if result["file_mib"] >= 90:
            add(
                f"{name}: memory while writing in background / weights <= 1.05",
                weights,
                weights <= 1.05,
            )
    return "\n".join(lines)


def table(numbers):
    """Times and memory as Markdown tables."""
    models = numbers["models"]
    peers = [(p, label) for p, label in COLUMNS if any(p in r["seconds"] for r in models.values())]
    head = "| model | variables | file, MiB | plan | " + " | ".join(label for _, label in peers)
    lines = [head + " |", "|---|" + "--:|" * (len(peers) + 3)]
    for name, result in models.items():
        cells = [f"{median(result, peer):.4f}" for peer, _ in peers]
        lines.append(
            "| {} | {} | {:.0f} | {:.3f} | {} |".format(
                name,
                result["variables"],
                result["file_mib"],
                result["setup_seconds"],
                " | ".join(cells),
            )
        )
    memory = ["| model | FreezeCallback | in background, training on | v2 route | `.keras` |"]
    memory.append("|---|" + "--:|" * 4)
    for name, result in models.items():
        cells = [f"{result['memory_mib'][peer]:.0f}" for peer in MEMORY_PEERS]
        memory.append(f"| {name} | " + " | ".join(cells) + " |")
    return (
        f"Seconds (medians of {numbers['rounds']}; plan: once, when training begins):\n\n"
        + "\n".join(lines)
        + "\n\nMemory above training, MiB at the peak:\n\n"
        + "\n".join(memory)
    )


def figure(numbers, path):
    """Bars of each peer's time, one group a model."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    models = numbers["models"]
    peers = [(p, label) for p, label in COLUMNS if all(p in r["seconds"] for r in models.values())]
    width = 0.85 / len(peers)
    chart, axes = pyplot.subplots(figsize=(9, 4.5))
    for place, (peer, label) in enumerate(peers):
        lefts = [i + (place - (len(peers) - 1) / 2.0) * width for i in range(len(models))]
        axes.bar(lefts, [median(r, peer) for r in models.values()], width, label=label.strip("`"))
    axes.set_yscale("log")
    axes.set_ylabel("seconds a save")
    axes.set_xticks(range(len(models)))
    axes.set_xticklabels([f"{n}\n{r['file_mib']:.0f} MiB" for n, r in models.items()])
    axes.legend(fontsize=8, ncol=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    chart.tight_layout()
    chart.savefig(path, dpi=120)


def publish(numbers):
    """Writes results/keras_freeze.* and the section of README.md between its markers."""
    os.makedirs(report.RESULTS, exist_ok=True)
    with open(os.path.join(report.RESULTS, "keras_freeze.json"), "w") as file:
        json.dump(numbers, file, indent=1, sort_keys=True)
    figure(numbers, os.path.join(report.RESULTS, "keras_freeze.png"))
    picture = "![Seconds a save of a Keras model](results/keras_freeze.png)"
    parts = [BEGIN + "\n" + numbers["machine"], picture, table(numbers), targets(numbers)]
    report.replace_section(BEGIN, END, parts + [END])
