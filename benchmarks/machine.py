"""Describes the machine of a benchmark."""

import os
import platform


def described(directory):
    """Return a sentence on the machine: processor, memory, file system, versions."""
    import keras
    import tensorflow as tf

    with open("/proc/cpuinfo") as file:
        cpu = next(
            (line.split(":")[1].strip() for line in file if line.startswith("model name")),
            platform.machine(),
        )
    ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / float(1 << 30)
    python, kind = platform.python_version(), _file_system(directory)
    return (
        f"{cpu}, {os.cpu_count()} cores, {ram:.0f} GiB of memory, {kind}, "
        f"{platform.system()} {platform.release()}; Python {python}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}."
    )


def _file_system(directory):
    """Return the type of the file system that holds `directory`."""
    path, best = os.path.realpath(directory) + "/", ("", "unknown file system")
    with open("/proc/mounts") as file:
        for line in file:
            point, kind = line.split()[1:3]
            if path.startswith(point.rstrip("/") + "/"):
                best = max(best, (point, kind), key=lambda found: len(found[0]))
    return best[1]
