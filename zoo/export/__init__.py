"""Export formats by name, with a numeric check of what was written."""

from zoo.export.formats import BATCHES, ExportResult, Readable, write
from zoo.export.parity import Agreement, agreement, read_file

__all__ = [
    "BATCHES",
    "Agreement",
    "ExportResult",
    "Readable",
    "agreement",
    "read_file",
    "write",
]
