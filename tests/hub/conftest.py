from loopback_fixtures import here, home, hub  # noqa: F401
