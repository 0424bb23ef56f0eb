"""Export formats by name, with a check of what was written, down to the labels of real images."""

from zoo.export.agreement import Agreement, Reading, agree
from zoo.export.artefact import Artefact, open_artefact
from zoo.export.formats import BATCHES, ExportResult, Readable, write

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
