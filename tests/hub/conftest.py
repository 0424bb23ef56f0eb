from loopback_fixtures import here  # noqa: F401
