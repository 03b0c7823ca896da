"""The examples of the docstrings run, and every public name has one that says something."""
import doctest
import importlib
import importlib.resources
import inspect
import pkgutil

import pytest

import shoal

MODULES = ["shoal"] + [f"shoal.{m.name}" for m in pkgutil.iter_modules(shoal.__path__) if m.name != "_shoal"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"shoal": shoal})
    assert result.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    names = {test.name for module in MODULES for test in finder.find(importlib.import_module(module)) if test.examples}
    assert {"shoal", "shoal._index.Index", "shoal._searching.Searching.search"} <= names, names


def public():
    for name in shoal.__all__:
        thing = getattr(shoal, name)
        yield name, thing
        if inspect.isclass(thing) and not issubclass(thing, tuple):
            for member, value in inspect.getmembers(thing):
                if not member.startswith("_") and (inspect.isfunction(value) or inspect.ismethod(value)):
                    yield f"{name}.{member}", value


@pytest.mark.parametrize("name, thing", list(public()))
def test_every_public_name_has_a_docstring(name, thing):
    if callable(thing) and getattr(thing, "__module__", "").startswith("shoal"):
        assert thing.__doc__ and len(thing.__doc__) > 15, name


def test_the_checked_in_stub_names_what_the_extension_has():
    from shoal import _shoal
    stub = (importlib.resources.files("shoal") / "_shoal.pyi").read_text()
    owners = [v for v in vars(_shoal).values() if isinstance(v, type)]
    for owner in (_shoal, *owners):
        names = {n for n in dir(owner) if not n.startswith("_")}
        missing = [n for n in sorted(names) if f" {n}(" not in stub and f" {n}:" not in stub]
        assert not missing, missing


def test_the_version_is_the_library_s():
    assert shoal.__version__.count(".") == 2
