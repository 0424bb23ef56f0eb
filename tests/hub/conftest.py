from loopback_fixtures import here  # noqa: F401
from loopback_runs import run  # noqa: F401
