"""Every path, make target and extra that the documents name exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Made by a build or by a run, so not in a fresh clone.
MADE = ("build/", "dist/", "runs/", "nbmonitor/static/", ".venv/", ".kernels/")
FOLDERS = "nbmonitor|js|tests|docs|scripts|notebooks|bench|\\.ci"
# A name in backticks or a link that begins with one of our folders, or a file at the top.
PATH = re.compile(rf"(?:^|[`(\s])((?:{FOLDERS})/[\w./*-]*|[A-Z][\w]+\.md|[\w-]+\.(?:toml|txt))")
EXAMPLE = re.compile(r"my_\w+\.(py|ts)$")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_named_paths_exist(document):
    text = document.read_text(encoding="utf-8")
    missing = []
    for name in {match.rstrip(".,") for match in PATH.findall(text)}:
        if name.startswith(MADE) or EXAMPLE.search(name):
            continue
        if not list(ROOT.glob(name.rstrip("/"))):
            missing.append(name)
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    links += re.findall(r'src="([^"]+)"', document.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not broken


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"`make ([a-z-]+)", document.read_text(encoding="utf-8")))
        assert named <= targets, document.name


def test_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for document in DOCUMENTS:
        named = re.findall(r"nbmonitor\[([\w,]+)\]", document.read_text(encoding="utf-8"))
        extras = {extra for group in named for extra in group.split(",")}
        assert extras <= set(project["optional-dependencies"]), document.name


def test_changelog_has_the_version():
    import nbmonitor

    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in text or f"## [{nbmonitor.__version__}]" in text
