"""How parts are named: the reference grammar, human sorting, and close names.

``[plugin/]name[:weights]`` names a part; ``hub:org/repo[@revision]``, ``file:PATH`` and
``run:NAME`` name weights or whole models elsewhere. What looks like a path but has no source is
refused, since guessing could load other weights than were meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

SOURCES: Final = ("hub", "file", "run", "url", "package")
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*\Z", re.IGNORECASE)
_REFERENCE: Final = re.compile(
    r"(?:(?P<plugin>[\w.-]+)/)?(?P<name>[\w][\w.-]*)(?::(?P<weights>[\w][\w.-]*))?\Z"
)
_FILES: Final = (".safetensors", ".pth", ".pt", ".bin", ".pkl", ".ckpt", ".pt2", ".onnx")
_SEPARATORS: Final = re.compile(r"[-_.]+")
_DIGITS: Final = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed reference.

    Attributes:
        name: The part's name, or what follows the source.
        plugin: Plugin prefix, or empty.
        weights: Tag behind the colon, or empty.
        source: ``hub``, ``file``, ``run`` ..., or empty for a part.
    """

    name: str
    plugin: str = ""
    weights: str = ""
    source: str = ""

    @property
    def qualified(self) -> str:
        """The reference without its weights tag."""
        return f"{self.plugin}/{self.name}" if self.plugin else self.name


def parse(text: str) -> Reference:
    """Parse a reference.

    Raises:
        UsageError: It is empty, malformed, or looks like a path or a repository without a source.
    """
    source, colon, rest = text.partition(":")
    if colon and source in SOURCES:
        if not rest:
            raise UsageError(f"{text!r} names a source but nothing in it", hint=_example(source))
        return Reference(rest, source=source)
    looks_like_path = text.startswith((".", "/", "~", "\\")) or text.lower().endswith(_FILES)
    if looks_like_path or text.count("/") > 1:
        hint = f"file:{text} for a file, hub:ORG/REPO for a repository, run:NAME for a run of yours"
        raise UsageError(f"{text!r} looks like a path; say where it is", hint=hint)
    match = _REFERENCE.match(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not a name", hint="names look like resnet18 or timm/resnet18"
        )
    return Reference(match["name"], match["plugin"] or "", match["weights"] or "")


def _example(source: str) -> str:
    examples = {"hub": "hub:ORG/REPO@REVISION", "file": "file:PATH", "run": "run:NAME"}
    return f"write {examples.get(source, source + ':...')}"


def distribution(name: str) -> str:
    """A distribution's name as installers compare it: ``Zoo.Mine`` is ``zoo-mine``."""
    return _SEPARATORS.sub("-", name).lower()


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key of people: resnet18 before resnet101; prefixless names before plugins'."""
    parts = _DIGITS.split(text.lower())
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p)


def matches(pattern: str, names: Iterable[str], tags: Iterable[str] = ()) -> bool:
    """Whether what a person typed means one of a part's names or tags, whatever its case.

    Args:
        pattern: With ``*`` and ``?``, or a piece of a name, or a whole tag.
        names: The part's name, qualified name and aliases.
        tags: Its tags.
    """
    wanted = pattern.lower()
    if not any(sign in wanted for sign in "*?["):
        return any(wanted in name.lower() for name in names) or wanted in map(str.lower, tags)
    from fnmatch import fnmatchcase

    return any(fnmatchcase(word.lower(), wanted) for word in (*names, *tags))


def suggest(name: str, candidates: Iterable[str], n: int = 3) -> tuple[str, ...]:
    """Up to ``n`` candidates that look like ``name``, best first.

    Compares without case, dashes and underscores; a plugin prefix of the candidate is ignored.
    """
    from difflib import get_close_matches  # only errors need it

    plain: dict[str, str] = {}
    for candidate in sorted(candidates, key=lambda each: ("/" in each, natural_key(each))):
        plain.setdefault(_plain(candidate.rpartition("/")[2]), candidate)
    wanted = _plain(name.rpartition("/")[2])
    close = get_close_matches(wanted, plain, n=n, cutoff=0.6)
    close += [p for p in plain if wanted and p.startswith(wanted) and p not in close]
    return tuple(plain[p] for p in close[:n])


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(".", "")


def did_you_mean(names: Iterable[str]) -> str:
    """``did you mean a, b?`` or nothing."""
    listed = ", ".join(names)
    return f"did you mean {listed}?" if listed else ""
