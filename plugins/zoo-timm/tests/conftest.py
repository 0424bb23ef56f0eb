"""The loopback hub of the main suite, for pushing."""

from loopback_fixtures import home, hub, known_shapes

__all__ = ["home", "hub", "known_shapes"]
