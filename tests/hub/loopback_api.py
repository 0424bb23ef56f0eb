"""The loopback hub's HTTP API, as huggingface_hub 1.33 to 2.4 calls it."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import yaml
from loopback_store import Commit, File, Repo, Store, git_sha1, is_lfs

REPO = r"(?P<repo>[^/]+/[^/]+|[^/]+)"


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: Any
    body: bytes = b""
    user: str = ""
    role: str = ""

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def reply(value: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(
        status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers}
    )


def error(status: int, message: str, code: str = "") -> Answer:
    headers = {"X-Error-Message": message, "Content-Type": "application/json"}
    if code:
        headers["X-Error-Code"] = code
    return Answer(status, json.dumps({"error": message}).encode(), headers)


class Api:
    """Routes a request to an answer; ``base`` and ``cdn`` are the two servers' addresses."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.base = self.cdn = ""
        self.xet_cas = ""  # a CAS address, e.g. local:///tmp/cas; empty = no xet here
        self.routes = [
            ("GET", r"/api/whoami-v2", self.whoami),
            ("GET", r"/api/models", self.search),
            ("POST", r"/api/repos/create", self.create),
            ("POST", r"/api/validate-yaml", self.validate_yaml),
            ("GET", rf"/api/models/{REPO}/refs", self.refs),
            (
                "GET",
                rf"/api/models/{REPO}/(?P<kind>xet-(?:read|write)-token)/(?P<rev>.+)",
                self.xet,
            ),
            ("GET", rf"/api/models/{REPO}/revision/(?P<rev>.+)", self.info),
            ("GET", rf"/api/models/{REPO}/tree/(?P<rev>[^/]+)(?:/(?P<under>.*))?", self.tree),
            ("GET", rf"/api/models/{REPO}/commits/(?P<rev>.+)", self.commits),
            ("POST", rf"/api/models/{REPO}/paths-info/(?P<rev>.+)", self.paths_info),
            ("POST", rf"/api/models/{REPO}/preupload/(?P<rev>.+)", self.preupload),
            ("POST", rf"/api/models/{REPO}/commit/(?P<rev>.+)", self.commit),
            ("POST", rf"/api/models/{REPO}/branch/(?P<rev>.+)", self.branch),
            ("POST", rf"/api/models/{REPO}/tag/(?P<rev>.+)", self.tag),
            ("POST", rf"/{REPO}\.git/info/lfs/objects/batch", self.lfs_batch),
            ("POST", rf"/{REPO}\.git/info/lfs/verify", self.lfs_verify),
            ("HEAD|GET", rf"/{REPO}/resolve/(?P<rev>[^/]+)/(?P<file>.+)", self.resolve),
            (
                "HEAD|GET",
                rf"/api/resolve-cache/models/{REPO}/(?P<rev>[^/]+)/(?P<file>.+)",
                self.small,
            ),
            ("GET", rf"/api/models/{REPO}", self.info),
        ]

    def __call__(self, request: Request) -> Answer:
        said = request.headers.get("authorization", "")
        if said:
            known = self.store.tokens.get(said.removeprefix("Bearer "))
            if known is None:
                return error(401, "Invalid credentials in Authorization header")
            request.user, request.role = known
        for method, pattern, handler in self.routes:
            match = re.fullmatch(pattern, request.path)
            wanted = method.split("|") + ["HEAD"] * (method == "GET")
            if match and request.method in wanted:
                with self.store.lock:
                    return self._guarded(handler, request, match.groupdict())
        return error(404, f"no route {request.method} {request.path}")

    def _guarded(self, handler: Any, request: Request, found: dict[str, str | None]) -> Answer:
        name = found.pop("repo", None)
        if name is None:
            return handler(request)
        repo = self.store.repos.get(name)
        hidden = repo is not None and repo.private and request.user != name.split("/")[0]
        if repo is None or hidden:
            # loopback is http: a bare 401 would not be understood as on the real Hub
            return error(404 if request.user else 401, "Repository not found", "RepoNotFound")
        if repo.disabled:
            return error(403, "Access to this resource is disabled.")
        files = "resolve" in request.path
        if repo.gated and files and (request.user, name) not in self.store.access:
            return error(403 if request.user else 401, "Access is restricted", "GatedRepo")
        if request.method == "POST" and "paths-info" not in request.path:
            if not request.user:
                return error(401, "Unauthorized")
            if request.role != "write" or request.user != name.split("/")[0]:
                return error(403, "Forbidden: you need a write token for this repository")
        found = {k: unquote(v) for k, v in found.items() if v is not None}
        if "rev" in found and handler not in (self.branch, self.tag):
            commit = repo.resolve(found.pop("rev"))
            if commit is None:
                return error(404, "Invalid rev id", "RevisionNotFound")
            return handler(request, repo, commit, **found)
        if handler == self.info:
            return handler(request, repo, repo.head)
        return handler(request, repo, **found)

    # --- reading

    def whoami(self, request: Request) -> Answer:
        if not request.user:
            return error(401, "Unauthorized")
        token = {"accessToken": {"displayName": "t", "role": request.role}}
        return reply({"type": "user", "name": request.user, "orgs": [], "auth": token})

    def _info(self, repo: Repo, commit: Commit, blobs: bool) -> dict[str, Any]:
        siblings = []
        for path, entry in sorted(commit.files.items()):
            item: dict[str, Any] = {"rfilename": path}
            if blobs:
                item.update(size=entry.size, blobId=entry.oid)
                if entry.lfs:
                    item["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": 134}
            siblings.append(item)
        card = self.store.card(repo.name, commit)
        return {
            "_id": git_sha1(repo.name.encode())[:24],
            "id": repo.name,
            "modelId": repo.name,
            "sha": commit.oid,
            "private": repo.private,
            "gated": "manual" if repo.gated else False,
            "disabled": repo.disabled,
            "tags": card.get("tags", []),
            "pipeline_tag": card.get("pipeline_tag"),
            "library_name": card.get("library_name"),
            "downloads": 7,
            "likes": 0,
            "createdAt": "2026-01-01T00:00:00.000Z",
            "lastModified": "2026-01-02T00:00:00.000Z",
            "cardData": card or None,
            "siblings": siblings,
        }

    def info(self, request: Request, repo: Repo, commit: Commit) -> Answer:
        return reply(self._info(repo, commit, "blobs" in request.query))

    def search(self, request: Request) -> Answer:
        words = " ".join(request.query.get("search", [])).lower()
        tags = request.query.get("filter", [])
        found = [
            self._info(repo, repo.head, blobs=False)
            for repo in self.store.repos.values()
            if words in repo.name.lower() and (not repo.private or request.user)
        ]
        found = [f for f in found if all(t in {*f["tags"], f["pipeline_tag"]} for t in tags)]
        return reply(found[: int(request.query.get("limit", ["1000"])[0])])

    def refs(self, request: Request, repo: Repo) -> Answer:
        def under(prefix: str) -> list[dict[str, str]]:
            return [
                {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": oid}
                for ref, oid in repo.refs.items()
                if ref.startswith(prefix)
            ]

        return reply(
            {
                "branches": under("refs/heads/"),
                "tags": under("refs/tags/"),
                "converts": [],
                "pullRequests": under("refs/pr/"),
            }
        )

    def _entry(self, path: str, entry: File) -> dict[str, Any]:
        item: dict[str, Any] = {"type": "file", "path": path, "size": entry.size, "oid": entry.oid}
        if entry.lfs:
            item["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": 134}
            if entry.sha256 in self.store.xet:
                item["xetHash"] = self.store.xet[entry.sha256]
        return item

    def tree(self, request: Request, repo: Repo, commit: Commit, under: str = "") -> Answer:
        files = {p: f for p, f in commit.files.items() if p.startswith(under)}
        start = int(request.query.get("cursor", ["0"])[0])
        names = sorted(files)
        page = [self._entry(p, files[p]) for p in names[start : start + 50]]
        more = {}
        if start + 50 < len(names):
            more["Link"] = (
                f'<{self.base}{request.path}?recursive=true&cursor={start + 50}>; rel="next"'
            )
        return reply(page, **more)

    def commits(self, request: Request, repo: Repo, commit: Commit) -> Answer:
        listed, at = [], commit
        while at:
            listed.append(
                {
                    "id": at.oid,
                    "title": at.title,
                    "message": "",
                    "authors": [],
                    "date": "2026-01-01T00:00:00.000Z",
                }
            )
            at = repo.commits.get(at.parent)
        return reply(listed)

    def paths_info(self, request: Request, repo: Repo, commit: Commit) -> Answer:
        if request.headers.get("content-type", "").startswith("application/json"):
            wanted = request.json()["paths"]
        else:
            wanted = parse_qs(request.body.decode()).get("paths", [])
        return reply([self._entry(p, commit.files[p]) for p in wanted if p in commit.files])

    def resolve(self, request: Request, repo: Repo, commit: Commit, file: str) -> Answer:
        entry = commit.files.get(file)
        if entry is None:
            return error(404, "Entry not found", "EntryNotFound")
        headers = {"X-Repo-Commit": commit.oid, "X-Linked-Size": str(entry.size)}
        if not entry.lfs:
            headers["ETag"] = f'"{entry.oid}"'
            headers["Location"] = f"/api/resolve-cache/models/{repo.name}/{commit.oid}/{file}"
            return Answer(307, b"", headers)
        headers["X-Linked-Etag"] = f'"{entry.sha256}"'
        if entry.sha256 in self.store.xet and self.xet_cas:
            headers["X-Xet-Hash"] = self.store.xet[entry.sha256]
            route = f"{self.base}/api/models/{repo.name}/xet-read-token/{commit.oid}"
            headers["Link"] = f'<{route}>; rel="xet-auth"'
        headers["Location"] = f"{self.cdn}/lfs/{entry.sha256}?signature=abc"
        return Answer(302, b"", headers)

    def small(self, request: Request, repo: Repo, commit: Commit, file: str) -> Answer:
        entry = commit.files[file]
        headers = {"ETag": f'"{entry.oid}"', "X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        return Answer(200, self.store.regular[entry.oid], headers)

    def xet(self, request: Request, repo: Repo, commit: Commit, kind: str) -> Answer:
        if not self.xet_cas:
            return error(404, "no xet here")
        if kind == "xet-write-token" and request.role != "write":
            return error(403, "Forbidden")
        token, exp = "xet-token", "4102444800"
        headers = {"X-Xet-Cas-Url": self.xet_cas, "X-Xet-Access-Token": token}
        headers["X-Xet-Token-Expiration"] = exp
        return reply({"accessToken": token, "exp": int(exp), "casUrl": self.xet_cas}, **headers)

    # --- writing

    def create(self, request: Request) -> Answer:
        if not request.user:
            return error(401, "Unauthorized")
        asked = request.json()
        owner = asked.get("organization") or request.user
        name = f"{owner}/{asked['name']}"
        if request.role != "write" or owner != request.user:
            return error(403, f"You don't have the rights to create a model under {owner}")
        if name in self.store.repos:
            return reply(
                {"error": "You already created this model repo", "url": f"{self.base}/{name}"}, 409
            )
        private = asked.get("private") is True or asked.get("visibility") == "private"
        self.store.create(name, private=private)
        return reply({"url": f"{self.base}/{name}", "name": name, "id": "x"})

    def validate_yaml(self, request: Request) -> Answer:
        text = request.json()["content"]
        try:
            block = text.split("---\n")[1] if text.startswith("---\n") else ""
            good = isinstance(yaml.safe_load(block) or {}, dict)
        except yaml.YAMLError:
            good = False
        if good:
            return reply({"errors": [], "warnings": []})
        return reply({"errors": [{"message": "bad yaml"}], "warnings": []}, 400)

    def preupload(self, request: Request, repo: Repo, commit: Commit) -> Answer:
        answers = []
        for item in request.json()["files"]:
            lfs = is_lfs(item["path"], item["size"])
            told = {
                "path": item["path"],
                "uploadMode": "lfs" if lfs else "regular",
                "shouldIgnore": False,
            }
            there = commit.files.get(item["path"])
            if there is not None:
                told["oid"] = there.sha256 or there.oid
            answers.append(told)
        return reply({"files": answers, "commitOid": commit.oid})

    def lfs_batch(self, request: Request, repo: Repo) -> Answer:
        objects = []
        for item in request.json()["objects"]:
            told: dict[str, Any] = {"oid": item["oid"], "size": item["size"]}
            if item["oid"] not in self.store.large:
                upload = {"href": f"{self.cdn}/lfs/{item['oid']}?signature=put", "header": {}}
                verify = {"href": f"{self.base}/{repo.name}.git/info/lfs/verify", "header": {}}
                told["actions"] = {"upload": upload, "verify": verify}
            objects.append(told)
        return reply({"transfer": "basic", "objects": objects})

    def lfs_verify(self, request: Request, repo: Repo) -> Answer:
        asked = request.json()
        held = self.store.large.get(asked["oid"])
        if held is None or len(held) != asked["size"]:
            return error(404, "not uploaded")
        return reply({})

    def commit(self, request: Request, repo: Repo, commit: Commit) -> Answer:
        lines = [json.loads(line) for line in request.body.splitlines() if line]
        header = lines[0]["value"]
        rev = unquote(request.path.rpartition("/")[2])
        pull = "create_pr" in request.query
        parent = header.get("parentCommit", "")
        if parent and not pull and not commit.oid.startswith(parent):
            return error(412, "A commit has happened since. Please refresh and try again.")
        files: dict[str, bytes | File | None] = {}
        for line in lines[1:]:
            key, value = line["key"], line["value"]
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                if value["oid"] not in self.store.large and not self.xet_cas:
                    return error(400, f"LFS object {value['oid']} was not uploaded")
                files[value["path"]] = self.store.pointer(value["oid"], value["size"])
            elif key == "deletedFile":
                files[value["path"]] = None
        ref = f"refs/heads/{rev}"
        number = 1 + sum(r.startswith("refs/pr/") for r in repo.refs)
        if pull:
            ref = f"refs/pr/{number}"
        oid = self.store.commit(
            repo.name, files, title=header["summary"], ref=ref, parent=commit.oid
        )
        told = {
            "success": True,
            "commitOid": oid,
            "commitUrl": f"{self.base}/{repo.name}/commit/{oid}",
        }
        if pull:
            told["pullRequestUrl"] = f"{self.base}/{repo.name}/discussions/{number}"
        return reply(told)

    def branch(self, request: Request, repo: Repo, rev: str) -> Answer:
        if f"refs/heads/{rev}" in repo.refs:
            return error(409, f"Reference {rev} exists already")
        start = repo.resolve(request.json().get("startingPoint", "main"))
        self.store.branch(repo.name, rev, start.oid if start else "")
        return reply({})

    def tag(self, request: Request, repo: Repo, rev: str) -> Answer:
        commit = repo.resolve(rev)
        name = request.json()["tag"]
        if commit is None:
            return error(404, "Invalid rev id", "RevisionNotFound")
        if f"refs/tags/{name}" in repo.refs:
            return error(409, f"Tag {name} exists already")
        self.store.tag(repo.name, name, commit.oid)
        return reply({})
