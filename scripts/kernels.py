"""Make one environment per ipykernel version that the tests drive, in `.kernels/`.

Each has its own ipykernel and sees everything else, this package included, in the
environment that runs this script. `.kernels/share/jupyter` holds a kernel spec for each:
put it on JUPYTER_PATH and start a kernel named `ipykernel-7.3`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".kernels"
VERSIONS = ("6.31", "7.0", "7.3", "7.4")


def make(version: str) -> None:
    """Make one environment and its kernel spec; leave what is there and right alone."""
    home = HOME / version
    python = home / "bin" / "python"
    stamp = home / ".made-for"
    seen = f"{sysconfig.get_paths()['purelib']}\n{ROOT}\n"
    if not stamp.is_file() or stamp.read_text() != seen:
        print(f"ipykernel {version}: making {home}")
        venv.create(home, with_pip=True, clear=True)
        wanted = f"ipykernel=={version}.*"
        subprocess.run([python, "-m", "pip", "install", "-q", wanted], check=True)
        packages = sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)})
        # A .pth adds to the end of the path: what this environment has itself comes first.
        (Path(packages) / "main-environment.pth").write_text(seen)
        stamp.write_text(seen)
    spec = HOME / "share" / "jupyter" / "kernels" / f"ipykernel-{version}"
    spec.mkdir(parents=True, exist_ok=True)
    kernel = {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"ipykernel {version}",
        "language": "python",
        "metadata": {"debugger": False},
    }
    (spec / "kernel.json").write_text(json.dumps(kernel, indent=1))


def main() -> int:
    """Make all of them."""
    for version in VERSIONS:
        try:
            make(version)
        except subprocess.CalledProcessError as error:
            print(f"ipykernel {version}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
