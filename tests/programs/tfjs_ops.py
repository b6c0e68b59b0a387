"""Prints freeze_hooks/graph/tfjs_ops.txt: the ops of TensorFlow.js, from its npm package.

    python tests/programs/tfjs_ops.py NODE_MODULES > freeze_hooks/graph/tfjs_ops.txt

An op is in the lists of @tensorflow/tfjs-converter (src/operations/op_list), and one of its
executors has a case for it. Behind it are the attributes that the lists name; those with "!" are
read, but only their defaults are supported.
"""

import json
import os
import re
import subprocess
import sys

PACKAGE = os.path.join("@tensorflow", "tfjs-converter")
LISTS = """
const fs = require('fs'), path = require('path');
const found = [];
for (const file of fs.readdirSync(process.argv[1]).sort()) {
  const text = fs.readFileSync(path.join(process.argv[1], file), 'utf8');
  if (!/_?\\.js$/.test(file) || /_test\\.js$/.test(file)) continue;
  const start = text.indexOf('json = ');
  if (start < 0) continue;
  const end = text.indexOf('\\n];', start);
  found.push(...eval(text.slice(start + 'json = '.length, end + 2)));
}
console.log(JSON.stringify(found));
"""


def listed(package):
    """The entries of the op lists."""
    directory = os.path.join(package, "dist", "operations", "op_list")
    done = subprocess.run(["node", "-e", LISTS, directory], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.decode())


def executed(package):
    """The ops for which an executor has a case."""
    directory = os.path.join(package, "dist", "operations", "executors")
    found = set()
    for name in os.listdir(directory):
        if name.endswith("_executor.js"):
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                found.update(re.findall(r"case '(\w+)':", file.read()))
    return found


def lines(modules):
    """The lines of the file."""
    package = os.path.join(modules, PACKAGE)
    with open(os.path.join(package, "package.json"), encoding="utf-8") as file:
        yield "# {name} {version}".format(**json.load(file))
    cases = executed(package)
    found = {}
    for entry in listed(package):
        if entry["tfOpName"] in cases:
            attributes = (a for a in entry.get("attrs", ()) if "tfName" in a)
            marks = {
                a[key]: "!" * bool(a.get("notSupported"))
                for a in attributes
                for key in ("tfName", "tfDeprecatedName")
                if key in a
            }
            found[entry["tfOpName"]] = sorted(mark + name for name, mark in marks.items())
    for name in sorted(found):
        yield " ".join([name, *found[name]])


if __name__ == "__main__":
    print("\n".join(lines(sys.argv[1])))
