"""Export formats by name, with a check of what was written, down to the labels of real images."""

from zoo.exporting.agreement import Agreement, Reading, agree
from zoo.exporting.artefact import Artefact, open_artefact
from zoo.exporting.formats import BATCHES, ExportResult, Readable, write

__all__ = [
    "BATCHES",
    "Agreement",
    "Artefact",
    "ExportResult",
    "Readable",
    "Reading",
    "agree",
    "open_artefact",
    "write",
]
