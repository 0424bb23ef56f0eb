import pytest

from zoo.core import registry


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Findings of one test's files are not remembered for another's."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def known():
    return registry.load()
