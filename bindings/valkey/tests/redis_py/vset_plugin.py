"""A pytest plugin for redis-py's own tests: the server passes for one that has vector sets built in."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    session.config.REDIS_INFO["version"] = "8.4.0"
