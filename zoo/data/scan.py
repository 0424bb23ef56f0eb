"""Walking image folders: which files are there, in which class, and what was passed over.

No torch, and no file is opened (but those without a suffix). Each real file is listed once,
however many links lead to it, so a loop of links cannot multiply a data set.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zoo.data.headers import SUFFIXES, is_image
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

SPLIT_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""Folder names (in any case) that mean a split, preferred first."""

LAYOUT: Final = (
    "expected FOLDER/<class>/<image>, or FOLDER/train/<class>/<image> and "
    "FOLDER/val/<class>/<image>, or a .csv with the columns path and label"
)
_JUNK: Final = frozenset({"__macosx", "@eadir", "__pycache__", "lost+found", "thumbs.db"})
_FORMS: Final = {
    ".parquet": "parquet", ".tar": "webdataset", "dataset_dict.json": "saved", "dataset_info.json": "saved",
}  # fmt: skip
"""How a name ends -> the data set of the plugin that reads it."""
_ARCHIVES: Final = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst")


@dataclass(frozen=True, slots=True)
class File:
    """One listed file.

    Attributes:
        path: Where it is.
        key: Its path inside the data set, with ``/``.
        size: Bytes.
        mtime: Nanoseconds.
        identity: Device and inode.
        ctime: Nanoseconds, of the last change of content, name or attributes; nobody can set it.
    """

    path: str
    key: str
    size: int
    mtime: int
    identity: tuple[int, int]
    ctime: int = 0


@dataclass(slots=True)
class Tree:
    """The files of one split.

    Attributes:
        root: Its folder.
        classes: Class name -> files, both in text order.
        ignored: What was passed over -> how often.
        broken: Key -> why it cannot be read.
        groups: Key -> what the image belongs to and is not torn from, where that is known.
    """

    root: Path
    classes: dict[str, list[File]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    broken: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)

    def files(self) -> Iterator[File]:
        """All files, class by class."""
        for files in self.classes.values():
            yield from files

    def __len__(self) -> int:
        return sum(map(len, self.classes.values()))


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the splits of a folder lie; without ``val``, ``train`` is to be split."""

    train: Path
    val: Path | None = None
    test: Path | None = None
    notes: tuple[str, ...] = ()


def find_layout(root: Path) -> Layout:
    """Tell class folders from split folders.

    A folder with ``train`` beside ``val`` or ``test`` (in any usual spelling), or with nothing
    but ``train``, holds splits; everything else holds classes. So does one whose ``train`` has
    images of its own and no class folders.

    Raises:
        DataError: No such folder, a file, an archive, or nothing in it.
    """
    check_folder(root)
    folders = {entry.name.lower(): entry for entry in _entries(root) if _is_folder(entry)}
    visible = {name: entry for name, entry in folders.items() if not _hidden(name)}
    found: dict[str, Path] = {}
    for split, names in SPLIT_NAMES.items():
        for name in names:
            if name in visible and split not in found:
                found[split] = Path(visible[name].path)
    train = found.get("train")
    if train is None or (len(found) == 1 and len(visible) > 1) or _is_class(train):
        return Layout(root)
    rest = sorted(e.name for e in visible.values() if Path(e.path) not in found.values())
    notes = (f"passed over beside {train.name}: {', '.join(rest[:5])}",) if rest else ()
    return Layout(train, found.get("val"), found.get("test"), notes)


def split_folder(root: Path, split: str) -> Path:
    """The folder of one split inside ``root``, or ``root`` itself if it holds classes."""
    check_folder(root)
    layout = find_layout(root)
    if layout.train == root:
        return root
    return {"train": layout.train, "val": layout.val, "test": layout.test}[split] or root


def check_folder(root: Path, flag: str = "--data") -> None:
    """Refuse what is not a folder, with a reason.

    Args:
        root: What should be one.
        flag: The option that names it.

    Raises:
        DataError: It does not exist, is an archive or another file.
    """
    if root.is_dir():
        return
    if not root.exists():
        raise DataError(f"no folder {quote(str(root))}", hint=_instead(flag))
    if root.name.lower().endswith(_ARCHIVES):
        raise DataError(
            f"{quote(str(root))} is an archive, which zoo does not unpack: names inside may lead "
            "out of the folder and sizes may explode",
            hint=f"unpack it where you trust it, then {flag} FOLDER"
            + (f"; WebDataset shards: {form}" if (form := _other_form(root)) else ""),
        )
    raise DataError(f"{quote(str(root))} is a file, not a folder", hint=_other_form(root) or LAYOUT)


def _other_form(root: Path) -> str:
    """How a file or folder in a form of Hugging Face's is read (zoo-datasets); empty if it is none."""
    import shlex  # only this error needs it

    names = [root.name] if root.is_file() else [entry.name for entry in _entries(root)]
    given = shlex.quote(str(root))
    for suffix, form in _FORMS.items():
        if any(name.lower().endswith(suffix) for name in names):
            option = "folder" if form == "saved" else "files"
            return f"--data datasets/{form} --data-option {option}={given}"
    return ""


def _instead(flag: str) -> str:
    return f"{flag} FOLDER, or --data demo" if flag == "--data" else f"{flag} FOLDER"


def scan(root: Path) -> Tree:
    """List the images below each class folder, recursively.

    Real entries come before links, so that a link to a file that is listed anyway is the one
    that is passed over.

    Raises:
        DataError: No class folder, or images without class folders.
    """
    check_folder(root)
    tree = Tree(root)
    seen = {_identity(root.stat())}
    loose = 0
    folders: list[os.DirEntry[str]] = []
    for entry in _entries(root):
        if _hidden(entry.name):
            tree.ignored[_kind_of_junk(entry.name)] += 1
            continue
        try:
            mode = entry.stat().st_mode
        except OSError as error:  # it may have been a class
            tree.broken[entry.name] = _reason(error)
            continue
        if stat.S_ISDIR(mode):
            folders.append(entry)
        elif stat.S_ISREG(mode) and _looks_like_image(entry):
            loose += 1
        else:
            tree.ignored["files that are no images"] += 1
    if not folders:
        what = f"{loose} images but no class folders" if loose else "no class folders"
        raise DataError(
            f"{quote(str(root))} holds {what}", hint=(not loose and _other_form(root)) or LAYOUT
        )
    if loose:
        tree.ignored["images outside of the class folders"] += loose
    for entry in sorted(folders, key=lambda e: (e.is_symlink(), e.name)):
        tree.classes[entry.name] = []
        _walk(tree, entry.path, entry.name, tree.classes[entry.name], seen)
    tree.classes = {
        name: sorted(tree.classes[name], key=attrgetter("key")) for name in sorted(tree.classes)
    }
    return tree


def images_below(root: Path) -> Tree:
    """List all images below a folder as one class named by the folder, for prediction."""
    check_folder(root)
    tree = Tree(root)
    files: list[File] = []
    _walk(tree, str(root), "", files, set())
    tree.classes[root.name] = sorted(files, key=attrgetter("key"))
    return tree


def holds_class_folders(root: Path) -> bool:
    """Whether a folder looks like an image data set; opens nothing, stops at the first image."""
    if not root.is_dir():
        return False
    folders = [Path(e.path) for e in _entries(root) if _is_folder(e) and not _hidden(e.name)]
    if any(map(_holds_images, folders)):
        return True
    splits = [f for f in folders if f.name.lower() in SPLIT_NAMES["train"]]
    return any(
        _holds_images(Path(e.path)) for split in splits for e in _entries(split) if _is_folder(e)
    )


def names_a_split(name: str) -> bool:
    """Whether a folder's name means a split."""
    return any(name.lower() in names for names in SPLIT_NAMES.values())


def quote(name: str) -> str:
    """A name for a message: quoted, control characters and undecodable bytes escaped."""
    return repr(name) if not name.isprintable() else f"'{name}'"


def _walk(
    tree: Tree, folder: str, prefix: str, files: list[File], seen: set[tuple[int, int]]
) -> None:
    try:
        state = os.stat(folder)  # noqa: PTH116 - a string path of scandir's
        entries = _entries(Path(folder))
    except OSError as error:
        tree.broken[prefix] = _reason(error)
        return
    if _identity(state) in seen:
        tree.ignored["links to folders that are listed already"] += 1
        return
    seen.add(_identity(state))
    for entry in sorted(entries, key=lambda e: (e.is_symlink(), e.name)):
        key = f"{prefix}/{entry.name}" if prefix else entry.name
        if _hidden(entry.name):
            tree.ignored[_kind_of_junk(entry.name)] += 1
            continue
        try:
            state = entry.stat()
        except OSError as error:
            if Path(entry.name).suffix.lower() in SUFFIXES or entry.is_symlink():
                tree.broken[key] = _reason(error)
            continue
        if stat.S_ISDIR(state.st_mode):
            _walk(tree, entry.path, key, files, seen)
        elif not stat.S_ISREG(state.st_mode) or not _looks_like_image(entry):
            tree.ignored["files that are no images"] += 1
        elif _identity(state) in seen:
            tree.ignored["links to files that are listed already"] += 1
        else:
            seen.add(_identity(state))
            files.append(_file(entry.path, key, state))


def file_at(path: Path, key: str) -> File:
    """List one file.

    Raises:
        OSError: It cannot be reached.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise IsADirectoryError(21, "is not a file")
    return _file(str(path), key, state)


def _file(path: str, key: str, at: os.stat_result) -> File:
    return File(path, key, at.st_size, at.st_mtime_ns, _identity(at), at.st_ctime_ns)


def _entries(root: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except PermissionError as error:
        raise DataError(f"cannot read folder {quote(str(root))}: {_reason(error)}") from error


def _identity(state: os.stat_result) -> tuple[int, int]:
    return state.st_dev, state.st_ino


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK


def _kind_of_junk(name: str) -> str:
    return "macOS forks ._*" if name.startswith("._") else "hidden or system files and folders"


def _looks_like_image(entry: os.DirEntry[str]) -> bool:
    suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - ten times as fast
    if suffix:
        return suffix in SUFFIXES
    try:
        with open(entry.path, "rb") as file:  # noqa: PTH123 - a string path of scandir's
            return is_image(file.read(16))
    except OSError:
        return False


def _holds_images(folder: Path) -> bool:
    return any(
        not _hidden(e.name) and _is_file(e) and _looks_like_image(e) for e in _entries(folder)
    )


def _is_class(train: Path) -> bool:
    """Whether a folder called ``train`` is full of trains: images lie in it and not below it."""
    return _holds_images(train) and not holds_class_folders(train)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "broken link (nothing at its end)"
    return (error.strerror or str(error)).lower()
