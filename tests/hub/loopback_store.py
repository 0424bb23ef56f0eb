"""What the loopback hub holds: repositories, commits, blobs, tokens. No HTTP here.

As on the real Hub: the first commit of a repository holds ``.gitattributes``, weights go to LFS
at any size, everything above 10 MB too, a commit names its parent.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from dataclasses import dataclass, field

import yaml

LFS_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".h5", ".msgpack")
GITATTRIBUTES = "".join(f"*{s} filter=lfs diff=lfs merge=lfs -text\n" for s in LFS_SUFFIXES)


def is_lfs(path: str, size: int) -> bool:
    return path.endswith(LFS_SUFFIXES) or size > 10_000_000


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class File:
    size: int
    oid: str  # git sha1 of the blob, or of the LFS pointer
    sha256: str = ""  # LFS only

    @property
    def lfs(self) -> bool:
        return bool(self.sha256)


@dataclass(frozen=True)
class Commit:
    oid: str
    files: dict[str, File]
    parent: str = ""
    title: str = ""


@dataclass
class Repo:
    name: str
    private: bool = False
    gated: bool = False
    disabled: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)  # refs/heads/x, refs/tags/x, refs/pr/n

    def resolve(self, revision: str) -> Commit | None:
        for prefix in ("refs/heads/", "refs/tags/", ""):
            if prefix + revision in self.refs:
                return self.commits[self.refs[prefix + revision]]
        if len(revision) >= 7:
            for oid, commit in self.commits.items():
                if oid.startswith(revision):
                    return commit
        return None

    @property
    def head(self) -> Commit:
        return self.commits[self.refs["refs/heads/main"]]


class Store:
    """All of it, behind one lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.repos: dict[str, Repo] = {}
        self.regular: dict[str, bytes] = {}  # git sha1 -> content
        self.large: dict[str, bytes] = {}  # sha256 -> content
        self.xet: dict[str, str] = {}  # sha256 -> xet hash that is announced
        self.tokens: dict[str, tuple[str, str]] = {}  # token -> (user, read | write)
        self.access: set[tuple[str, str]] = set()  # (user, gated repo)
        self._clock = itertools.count(1_700_000_000)

    def token(self, user: str, role: str = "write") -> str:
        made = f"hf_{user}_{role}_{hashlib.sha256(f'{user}{role}'.encode()).hexdigest()[:20]}"
        self.tokens[made] = (user, role)
        return made

    def create(self, name: str, *, private: bool = False, gated: bool = False) -> Repo:
        with self.lock:
            repo = self.repos[name] = Repo(name, private=private, gated=gated)
            self.commit(name, {".gitattributes": GITATTRIBUTES.encode()}, title="initial commit")
            return repo

    def file(self, path: str, data: bytes) -> File:
        if is_lfs(path, len(data)):
            digest = sha256(data)
            self.large[digest] = data
            return self.pointer(digest, len(data))
        oid = git_sha1(data)
        self.regular[oid] = data
        return File(len(data), oid)

    def pointer(self, digest: str, size: int) -> File:
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n"
        return File(size, git_sha1(text.encode()), digest)

    def commit(
        self,
        name: str,
        files: dict[str, bytes | File | None],
        *,
        title: str = "commit",
        ref: str = "refs/heads/main",
        parent: str = "",
    ) -> str:
        """Commit contents (``None`` deletes); gives the new oid."""
        with self.lock:
            repo = self.repos[name]
            base = parent or repo.refs.get(ref, "")
            made = dict(repo.commits[base].files) if base else {}
            for path, content in files.items():
                if content is None:
                    made.pop(path, None)
                else:
                    made[path] = self.file(path, content) if isinstance(content, bytes) else content
            what = repr(
                (sorted((p, f.oid) for p, f in made.items()), base, title, next(self._clock))
            )
            oid = hashlib.sha1(what.encode()).hexdigest()
            repo.commits[oid] = Commit(oid, made, base, title)
            repo.refs[ref] = oid
            return oid

    def tag(self, name: str, tag: str, oid: str = "") -> None:
        repo = self.repos[name]
        repo.refs[f"refs/tags/{tag}"] = oid or repo.refs["refs/heads/main"]

    def branch(self, name: str, branch: str, oid: str = "") -> None:
        repo = self.repos[name]
        repo.refs[f"refs/heads/{branch}"] = oid or repo.refs["refs/heads/main"]

    def read(self, name: str, path: str, revision: str = "main") -> bytes:
        commit = self.repos[name].resolve(revision)
        assert commit is not None, revision
        entry = commit.files[path]
        return self.large[entry.sha256] if entry.lfs else self.regular[entry.oid]

    def card(self, name: str, commit: Commit) -> dict:
        if "README.md" not in commit.files:
            return {}
        text = self.regular[commit.files["README.md"].oid].decode()
        if not text.startswith("---\n"):
            return {}
        return yaml.safe_load(text.split("---\n")[1]) or {}
