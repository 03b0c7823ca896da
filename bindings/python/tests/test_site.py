"""The Python blocks of README.md and of the documentation site run, page by page, each after the one before."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "site").rglob("*.md"))]
WITH_PYTHON = [page for page in PAGES if BLOCK.search(page.read_text())]


def test_the_pages_that_are_about_python_have_blocks():
    names = {page.name for page in WITH_PYTHON}
    assert {"README.md", "index.md", "tour.md", "coming_from.md"} <= names and len(names) >= 8


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text, names = page.read_text(), {}
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start(1))
        exec(compile("\n" * line + block.group(1), page.name, "exec"), names)
