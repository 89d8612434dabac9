"""The floors of docs/architecture.md hold: the page is parsed, and every import is checked."""

from __future__ import annotations

import ast
import re
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "nbmonitor"
PAGE = ROOT / "js" / "src"
MAX_LINES = 400
ANYWHERE = {"numpy", "nbmonitor"}
TS_IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["']([^"'?]+)""")


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, as cells."""
    section = TEXT.split(heading, 1)[1].split("\n#", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


class Floors:
    """Where each module stands: floor, and place from the left."""

    def __init__(self, heading: str) -> None:
        self.places = {
            name: (int(row[0]), place)
            for row in table(heading)
            for place, name in enumerate(names(row[1]))
        }

    def pattern(self, module: str) -> str:
        found = [p for p in self.places if fnmatch(module, p)]
        assert len(found) == 1, f"{module} stands {len(found)} times in docs/architecture.md"
        return found[0]

    def problem(self, importer: str, imported: str) -> str:
        """Why the import is not allowed, or ""."""
        above, below = self.pattern(importer), self.pattern(imported)
        if above == below:
            if above in {"probes/*", "rules/*", "views/*"}:
                return f"{importer} imports its sibling {imported}"
            return ""
        if self.places[below] < self.places[above]:
            return ""
        return f"{importer} (at {self.places[above]}) imports {imported} (at {self.places[below]})"


PYTHON = Floors("### Python")
TYPESCRIPT = Floors("### Page")
IMPORTERS = {names(row[0])[0]: names(row[1]) for row in table("### Third parties")}


def module_of(path: Path, base: Path) -> str:
    return path.relative_to(base).with_suffix("").as_posix()


def python_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def own(dotted: str) -> str | None:
    """`nbmonitor.probes.loss` as `probes/loss`, if there is such a file."""
    parts = dotted.split(".")[1:]
    if not parts:
        return None
    path = PACKAGE.joinpath(*parts)
    if path.with_suffix(".py").is_file():
        return "/".join(parts)
    return "/".join([*parts, "__init__"]) if path.is_dir() else None


def only_for_types(tree: ast.AST) -> set[ast.AST]:
    """What stands under `if TYPE_CHECKING`."""
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }


def imports(path: Path) -> list[str]:
    """Every dotted name that a file imports, also in functions and by `require("name")`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typed = only_for_types(tree)
    found: list[str] = []
    for node in ast.walk(tree):
        if node in typed:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute here"
            module = node.module or ""
            deeper = [f"{module}.{alias.name}" for alias in node.names]
            found += [name if own(name) else module for name in deeper]
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else called
            first = node.args[0]
            if called in {"require", "import_module"} and isinstance(first, ast.Constant):
                found.append(str(first.value))
    return found


@pytest.mark.parametrize("path", python_files(), ids=lambda p: module_of(p, PACKAGE))
def test_python_imports_go_down(path):
    module = module_of(path, PACKAGE)
    if module.endswith("/__init__"):
        module = f"{module.rsplit('/', 1)[0]}/anything"  # a folder's door stands with its folder
        if not any(fnmatch(module, pattern) for pattern in PYTHON.places):
            assert not [name for name in imports(path) if own(name)]
            return
    problems = []
    for name in imports(path):
        imported = own(name) if name.split(".")[0] == "nbmonitor" else None
        if imported is None or imported == "__init__":
            continue
        if imported.endswith("/__init__"):
            imported = imported.replace("/__init__", "/anything")
        problems.append(PYTHON.problem(module, imported))
    assert not [p for p in problems if p]


@pytest.mark.parametrize("path", python_files(), ids=lambda p: module_of(p, PACKAGE))
def test_third_parties_have_their_importers(path):
    module = module_of(path, PACKAGE)
    for name in imports(path):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names or top in ANYWHERE:
            continue
        assert top in IMPORTERS, f"{module} imports {top}, which docs/architecture.md doesn't name"
        assert module in IMPORTERS[top], f"{top} may be imported by {IMPORTERS[top]}, not {module}"


def page_files() -> list[Path]:
    return sorted(p for p in PAGE.rglob("*.ts") if not p.name.endswith(".d.ts"))


def page_module(path: Path) -> str:
    return path.relative_to(PAGE).as_posix().removesuffix(".ts")


@pytest.mark.parametrize("path", page_files(), ids=page_module)
def test_page_imports_go_down(path):
    module = page_module(path)
    problems = []
    for name in TS_IMPORT.findall(path.read_text(encoding="utf-8")):
        if name.startswith("."):
            if name.endswith(".css"):
                continue
            target = (path.parent / name).resolve().relative_to(PAGE).as_posix()
            problems.append(TYPESCRIPT.problem(module, target.removesuffix(".ts")))
        elif not name.startswith("@anywidget/types"):
            top = name.split("/")[0]
            allowed = IMPORTERS.get(top, [])
            if not any(fnmatch(module, pattern) for pattern in allowed):
                problems.append(f"{module} imports {top}; allowed: {allowed}")
    assert not [p for p in problems if p]


def test_every_named_module_exists():
    for place in PYTHON.places:
        assert list(PACKAGE.glob(f"{place}.py")), f"{place} is in the table and not in nbmonitor/"
    for place in TYPESCRIPT.places:
        assert list(PAGE.glob(f"{place}.ts")), f"{place} is in the table and not in js/src/"
    for package, allowed in IMPORTERS.items():
        for module in allowed:
            there = [*PACKAGE.glob(f"{module}.py"), *PAGE.glob(f"{module}.ts")]
            assert there, f"{module}, importer of {package}, does not exist"


def test_files_stay_small():
    folders = ["nbmonitor", "js/src", "js/dev", "js/tests", "tests", "scripts", "bench"]
    files = [
        path
        for folder in folders
        for ending in ("*.py", "*.ts", "*.css")
        for path in (ROOT / folder).rglob(ending)
        if path.name != "wire.gen.ts"
        and "node_modules" not in path.parts
        and "static" not in path.parts
    ]
    assert len(files) > 50
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in files
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert not long


def test_broad_excepts_say_why():
    """ruff finds them (BLE001); here, whoever lets one through must give the reason."""
    silent = re.compile(r"# noqa: BLE001\s*$", re.MULTILINE)
    assert not [p.name for p in python_files() if silent.search(p.read_text(encoding="utf-8"))]
