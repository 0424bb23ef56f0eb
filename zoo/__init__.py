"""zoo: a plugin-based model zoo for PyTorch."""

__version__ = "0.1.0"
