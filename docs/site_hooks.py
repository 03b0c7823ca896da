"""A hook of mkdocs: the page reference.md gets the signatures and docstrings of the Python package.

They are read from the sources, so the package need not be built.
"""
import ast
import inspect
import pathlib

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "bindings" / "python" / "shoal"
MARK = "<!-- reference -->"
# In this order; a class inherits what is in its base.
MODULES = ["_index", "_view", "_searching", "_filters", "_keys", "_database", "_files", "_results", "_errors", "features", "aio",
           "cluster", "hnswlib", "diskannpy"]
# Of the package's names these are no function or class of Python's.
ELSEWHERE = {"active_isa", "features"}


def signature(node):
    """`name(arguments) -> result` of a function."""
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    arguments = ast.unparse(node.args)
    for first in ("self, ", "cls, ", "self", "cls"):
        if arguments.startswith(first):
            arguments = arguments[len(first):]
            break
    return f"{node.name}({arguments}){result}"


def is_overload(node):
    return any(getattr(d, "id", "") == "overload" for d in node.decorator_list)


def described(node, level):
    """A heading, the signature and the docstring; nothing for what is private."""
    text = ast.get_docstring(node)
    if text is None or node.name.startswith("_") or is_overload(node):
        return
    yield f"{'#' * level} {node.name}\n"
    if isinstance(node, ast.FunctionDef):
        yield f"```python\n{signature(node)}\n```\n"
    yield f"```text\n{inspect.cleandoc(text)}\n```\n"


def public_names():
    """What `from shoal import *` gives, and the base classes of Index and View."""
    for node in ast.parse((PACKAGE / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return {*ast.literal_eval(node.value), "Searching", "Measuring"}
    raise ValueError("shoal/__init__.py: expected __all__, found none")


def of_module(name):
    tree = ast.parse((PACKAGE / f"{name}.py").read_text())
    title = f"shoal.{name}" if not name.startswith("_") else "shoal"
    first = (ast.get_docstring(tree) or "").splitlines()[0]
    yield f"## {title}: {first.rstrip('.')}\n"
    shown = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
             and not node.name.startswith("_") and (not name.startswith("_") or node.name in public_names())]
    for node in shown:
        yield from described(node, 3)
        for member in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(member, ast.FunctionDef):
                yield from described(member, 4)


def on_page_markdown(markdown, page, config, files):
    """What mkdocs calls for each page."""
    if MARK not in markdown:
        return markdown
    lines = [line for name in MODULES for line in of_module(name)]
    described_names = {line.split()[-1] for line in lines if line.startswith("### ")}
    missing = public_names() - described_names - ELSEWHERE
    if missing:
        raise ValueError(f"docs/site_hooks.py: MODULES: expected all public names, found none of {sorted(missing)}")
    return markdown.replace(MARK, "\n".join(lines))
