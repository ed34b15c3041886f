"""Stands in for the helm program: says how it was called, or fails as its values ask it to.

Run as a script, with nothing but the standard library, in the environment that Helm would have.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    chart = Path(sys.argv[-1])
    given = next(word for word in sys.argv if word.startswith("--values="))
    values = json.loads(Path(given.partition("=")[2]).read_bytes())
    fault = values.get("fault", {})
    time.sleep(fault.get("sleep", 0))
    if "child" in fault:
        # A child that outlives its parent keeps the pipe open, unless the group is killed.
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        Path(fault["child"]).write_text(str(child.pid), encoding="utf-8")
    if "memory" in fault:
        bytearray(fault["memory"])
    sys.stderr.write(fault.get("says", "").replace("CHART", str(chart)))
    sys.stdout.write("x" * fault.get("writes", 0))
    if not fault:
        files = {str(p.relative_to(chart)) for p in chart.rglob("*") if p.is_file()}
        called = {"arguments": sys.argv[1:], "environment": dict(os.environ), "values": values}
        sys.stdout.write(json.dumps(called | {"files": sorted(files), "folder": str(Path.cwd())}))
    return int(fault.get("exit", 0))


if __name__ == "__main__":
    sys.exit(main())
