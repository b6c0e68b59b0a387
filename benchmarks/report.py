"""From the numbers of session_freeze.py to targets, a table, a figure and the README."""

import json
import os
import platform
import statistics

HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(HERE, "results")
BEGIN, END = "<!-- session_freeze: begin -->", "<!-- session_freeze: end -->"
BARS = [
    ("freeze", "FreezeHook"),
    ("saver", "Saver.save"),
    ("converter", "convert_variables_to_constants"),
    ("raw", "raw write"),
]
COLUMNS = ["freeze", "saver", "converter", "raw", "raw_at_once"]
COLUMNS += ["freeze_after_checkpoint", "raw_after_checkpoint"]


def later(result, peer):
    """Median seconds of a peer's later calls."""
    return statistics.median(result["seconds"][peer]["later"])


def ratio(result, peer, to, take=statistics.median):
    """Ratio of two peers' medians; with take=min, of their fastest calls."""
    seconds = result["seconds"]
    return take(seconds[peer]["later"]) / take(seconds[to]["later"])


def checks(numbers):
    """Yields (target, ratio of medians or MiB, ratio of the fastest calls or None, holds)."""
    models = numbers["models"]
    for name, result in models.items():
        slower = ratio(result, "freeze", "raw")
        least = ratio(result, "freeze", "raw", min)
        yield name + ": a later save / raw write <= 1.5", slower, least, slower <= 1.5
        faster = ratio(result, "converter", "freeze")
        least = ratio(result, "converter", "freeze", min)
        yield name + ": converter / a later save >= 8", faster, least, faster >= 8
        allowed = 64 + result["small_variables_mib"]
        used = result["memory_mib"]["freeze"]["later"]
        what = f"{name}: MiB above training <= {allowed:.0f} (64 + all variables below 1 MiB)"
        yield what, used, None, used <= allowed
    few, many = models["nodes_1k"], models["nodes_20k"]
    grown, least = (
        ratio(many, "freeze", "raw", take) / ratio(few, "freeze", "raw", take)
        for take in (statistics.median, min)
    )
    what = "a later save with {:,} nodes / with {:,}, each over its raw write <= 1.1"
    yield what.format(many["nodes"], few["nodes"]), grown, least, grown <= 1.1


def targets(numbers):
    """The targets as Markdown, each with its number and whether it holds."""
    lines = ["| target | by medians | by the fastest calls | holds |", "|---|--:|--:|---|"]
    for what, value, least, holds in checks(numbers):
        fastest = "" if least is None else f"{least:.2f}"
        lines.append(f"| {what} | {value:.2f} | {fastest} | {'yes' if holds else '**no**'} |")
    return "\n".join(lines) + "\n"


def table(numbers):
    """Times and memory as Markdown tables."""
    times = [
        "| model | file, MiB | nodes: training, saved | set-up | first save | later save "
        "| Saver.save | converter | raw write | raw, one write "
        "| after the checkpoint: later save | raw write |",
        "|---|" + "--:|" * 11,
    ]
    memory = [
        "| model | FreezeHook: set-up keeps | first save | later save "
        "| Saver.save | converter | raw write |",
        "|---|" + "--:|" * 6,
    ]
    for name, result in numbers["models"].items():
        medians = [later(result, peer) for peer in COLUMNS]
        seconds = [result["setup_seconds"], result["seconds"]["freeze"]["first"]] + medians
        times.append(
            "| {} | {:.0f} | {:,} / {:,} | {} |".format(
                name,
                result["file_mib"],
                result["nodes"],
                result["saved_nodes"],
                " | ".join(f"{value:.3f}" for value in seconds),
            )
        )
        used = result["memory_mib"]
        mib = [result["setup_mib"], used["freeze"]["first"], used["freeze"]["later"]]
        mib += [max(used[peer].values()) for peer in ("saver", "converter", "raw")]
        memory.append("| {} | {} |".format(name, " | ".join(f"{value:.0f}" for value in mib)))
    return (
        "Seconds (medians of {} rounds, but for set-up and first save):\n\n{}\n\n"
        "Memory above training, MiB at the peak:\n\n{}\n\n"
        "Largest difference between a file's outputs and the session's: {:.1e}.\n"
    ).format(
        numbers["rounds"],
        "\n".join(times),
        "\n".join(memory),
        max(result["difference"] for result in numbers["models"].values()),
    )


def figure(numbers, path):
    """Bars of each peer's time over the raw write's."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    models = numbers["models"]
    width = 0.8 / len(BARS)
    chart, axes = pyplot.subplots(figsize=(9, 4.5))
    for place, (peer, label) in enumerate(BARS):
        heights = [ratio(result, peer, "raw") for result in models.values()]
        lefts = [index + (place - (len(BARS) - 1) / 2.0) * width for index in range(len(models))]
        bars = axes.bar(lefts, heights, width, label=label)
        for bar, height in zip(bars, heights):
            axes.annotate(
                f"{height:.1f}",
                (bar.get_x() + width / 2, height),
                ha="center",
                va="bottom",
                fontsize=8,
            )
    axes.axhline(1.5, linestyle="--", linewidth=1, color="gray", label="target for FreezeHook: 1.5")
    axes.set_yscale("log")
    axes.set_ylabel("time of a later save / raw write")
    axes.set_xticks(range(len(models)))
    axes.set_xticklabels(
        [
            "{}\n{:.0f} MiB\n{:,} nodes".format(name, result["file_mib"], result["nodes"])
            for name, result in models.items()
        ]
    )
    chart.suptitle("Writing a frozen file of the model in training")
    axes.legend(fontsize=8, ncol=5, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    chart.tight_layout()
    chart.savefig(path, dpi=120)


def publish(numbers):
    """Writes results/session_freeze.* and the section of README.md between its markers."""
    os.makedirs(RESULTS, exist_ok=True)
    with open(os.path.join(RESULTS, "session_freeze.json"), "w") as file:
        json.dump(numbers, file, indent=1, sort_keys=True)
    figure(numbers, os.path.join(RESULTS, "session_freeze.png"))
    picture = "![Time of a later save over the raw write](results/session_freeze.png)"
    parts = [
        BEGIN + "\n" + numbers["machine"],
        picture,
        table(numbers),
        targets(numbers) + "\n" + END,
    ]
    replace_section(BEGIN, END, parts)


def replace_section(begin, end, parts):
    """Puts Markdown parts in place of what README.md has between two markers, and the markers."""
    readme = os.path.join(HERE, "README.md")
    with open(readme) as file:
        before, rest = file.read().split(begin)
    with open(readme, "w") as file:
        file.write(before + "\n\n".join(part.rstrip() for part in parts) + rest.split(end)[1])


def machine(directory):
    """The machine in a sentence: processor, memory, file system, versions."""
    import tensorflow as tf

    with open("/proc/cpuinfo") as file:
        cpu = next(
            (line.split(":")[1].strip() for line in file if line.startswith("model name")),
            platform.machine(),
        )
    ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / float(1 << 30)
    python, kind = platform.python_version(), _file_system(directory)
    return (
        f"{cpu}, {os.cpu_count()} cores, {ram:.0f} GiB of memory, {kind}, {platform.system()}; "
        f"Python {python}, TensorFlow {tf.__version__}."
    )


def _file_system(directory):
    """The type of the file system that holds `directory`."""
    path, best = os.path.realpath(directory) + "/", ("", "unknown file system")
    with open("/proc/mounts") as file:
        for line in file:
            point, kind = line.split()[1:3]
            if path.startswith(point.rstrip("/") + "/"):
                best = max(best, (point, kind), key=lambda found: len(found[0]))
    return best[1]
