"""A headless Chromium, in which tests look at pages."""

import json
import os
import select
import shutil
import subprocess
import time

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# CI must have it; elsewhere a test without it is skipped.
needed = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="there is no Chromium on this machine"
)


class Browser:
    """A headless Chromium that takes commands through a pipe."""

    def __init__(self, directory):
        theirs, self._write = os.pipe()
        self._read, answers = os.pipe()
        shell = f'exec "$0" "$@" 3<&{theirs} 4>&{answers}'
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options += ["--remote-debugging-pipe", f"--user-data-dir={directory}"]
        self._process = subprocess.Popen(
            ["bash", "-c", shell, CHROMIUM, *options, "about:blank"],
            pass_fds=(theirs, answers),
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(answers)
        self._count, self._pending = 0, b""

    def ask(self, method, **parameters):
        session = parameters.pop("session", None)
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        message.update({"sessionId": session} if session else {})
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._pending:
                assert select.select([self._read], [], [], 300)[0], "Chromium does not answer"
                more = os.read(self._read, 1 << 16)
                assert more, "Chromium ended"
                self._pending += more
            text, _, self._pending = self._pending.partition(b"\0")
            answer = json.loads(text.decode())
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]

    def close(self):
        self.ask("Browser.close")
        self._process.wait(60)
        os.close(self._read)
        os.close(self._write)


class Page:
    """A page in a Browser of its own; use it in a `with` block.

    Args:
      directory: for the browser's profile.
      address: what to open.
    """

    def __init__(self, directory, address):
        assert CHROMIUM is not None, "chromium is to be installed for the tests"
        self.browser = Browser(directory)
        target = self.browser.ask("Target.createTarget", url=address)["targetId"]
        attached = self.browser.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]

    def ask(self, method, **parameters):
        return self.browser.ask(method, session=self.session, **parameters)

    def value(self, expression):
        """What an expression of JavaScript gives; of a promise, its value."""
        how = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        found = self.ask("Runtime.evaluate", **how)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, expression, seconds=300):
        """Wait until an expression is true, and return its value."""
        end = time.time() + seconds
        while time.time() < end:
            found = self.value(expression)
            if found:
                return found
            time.sleep(0.5)
        raise AssertionError(f"{expression} is not true after {seconds} s")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.browser.close()
