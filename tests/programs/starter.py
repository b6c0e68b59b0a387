"""Starts programs in copies of a process that has imported TensorFlow, which alone takes seconds.

`serve()` reads one task a line, and answers each with one line:
{"start": {"arguments": what follows `python`, "cwd", "env", "stdout", "stderr"}} with its number,
{"wait": number, "seconds": at most} with its exit status, or null if it still runs.
"""

import gc
import json
import os
import runpy
import sys
import time

import tensorflow  # noqa: F401

sys.path[:2] = []  # where this file is, and the current directory
gc.freeze()  # memory that is not touched is shared with the copies


def serve():
    """Answer until the input ends; in a copy, run its program and return."""
    answers = os.fdopen(os.dup(1), "w")
    for line in iter(sys.stdin.readline, ""):
        task = json.loads(line)
        if "start" in task:
            answer = os.fork()
            if not answer:
                answers.close()
                return run(**task["start"])
        else:
            answer = status_of(task["wait"], task["seconds"])
        print(json.dumps(answer), file=answers, flush=True)


def status_of(number, seconds):
    """As subprocess has it: the number of a signal is negative."""
    until = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(number, os.WNOHANG)
        if ended:
            return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        if time.monotonic() >= until:
            return None
        time.sleep(0.01)


def run(arguments, cwd, env, stdout, stderr):
    """Become `python ARGUMENTS`, in all that a program can see but for what is imported."""
    for number, path in ((0, os.devnull), (1, stdout), (2, stderr)):
        opened = os.open(path, os.O_RDWR | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(env)
    if cwd:
        os.chdir(cwd)
    given = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    kind, rest = arguments[0], arguments[1:]
    first = "" if kind in ("-c", "-m") else os.path.dirname(os.path.abspath(kind))
    sys.path[:0] = [os.getcwd() if kind == "-m" else first, *given]
    if kind == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"].__dict__
    if kind == "-c":
        sys.argv, source, name = ["-c", *rest[1:]], rest[0], "<string>"
    else:
        sys.argv, name = arguments, kind
        with open(kind, "rb") as file:
            source = file.read()
        main["__file__"] = kind
    exec(compile(source, name, "exec"), main)
