"""The loopback hub is believed only as far as the real client gets along with it."""

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from loopback_fixtures import http


@pytest.fixture
def api(here):
    return HfApi(endpoint=here.endpoint, token=here.store.token("ann"))


def test_round_trip(here, api, tmp_path):
    api.create_repo("ann/net", private=True)
    api.create_repo("ann/net", exist_ok=True)
    folder = tmp_path / "up"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x" * 3_000_000)
    (folder / "config.json").write_text("{}")
    (folder / "README.md").write_text("---\nlicense: mit\ntags: [a]\n---\n# net\n")
    first = api.upload_folder(repo_id="ann/net", folder_path=folder)
    again = api.upload_folder(repo_id="ann/net", folder_path=folder)
    assert again.oid == first.oid
    got = snapshot_download(
        "ann/net", endpoint=here.endpoint, token=api.token, cache_dir=tmp_path / "c"
    )
    assert sorted(p.name for p in (tmp_path / "c" / "models--ann--net" / "blobs").iterdir())
    assert (tmp_path / got / "model.safetensors").stat().st_size == 3_000_000
    info = api.model_info("ann/net", files_metadata=True)
    assert info.sha == first.oid
    assert info.card_data.license == "mit"
    large = next(s for s in info.siblings if s.rfilename == "model.safetensors")
    assert len(large.lfs.sha256) == 64
    assert {p.path for p in api.list_repo_tree("ann/net")} >= {"config.json", ".gitattributes"}
    assert api.get_paths_info("ann/net", ["model.safetensors"])[0].lfs.sha256 == large.lfs.sha256
    assert not here.asked("/lfs/", "GET") or all(not s.authorized for s in here.asked("/lfs/"))


def test_revisions_tags_branches_and_pulls(here, api):
    api.create_repo("ann/net")
    one = api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id="ann/net").oid
    api.create_tag("ann/net", tag="v1")
    api.create_branch("ann/net", branch="dev")
    two = api.upload_file(path_or_fileobj=b"2", path_in_repo="a.txt", repo_id="ann/net").oid
    refs = api.list_repo_refs("ann/net")
    assert {t.name: t.target_commit for t in refs.tags} == {"v1": one}
    assert {b.name for b in refs.branches} == {"main", "dev"}
    assert api.resolve_revision("ann/net", revision="v1").resolved == one
    pull = api.upload_file(
        path_or_fileobj=b"3", path_in_repo="a.txt", repo_id="ann/net", create_pr=True
    )
    assert pull.pr_num == 1
    assert api.model_info("ann/net").sha == two
    with pytest.raises(HfHubHTTPError) as stale:
        api.upload_file(
            path_or_fileobj=b"4", path_in_repo="a.txt", repo_id="ann/net", parent_commit=one
        )
    assert stale.value.response.status_code == 412


def test_refusals(here, api):
    here.store.create("bob/secret", private=True)
    here.store.create("bob/gate", gated=True)
    here.store.commit("bob/gate", {"config.json": b"{}"})
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("bob/secret")
    with pytest.raises(RepositoryNotFoundError):
        HfApi(endpoint=here.endpoint, token=False).model_info("bob/secret")
    with pytest.raises(GatedRepoError):
        hf_hub_download("bob/gate", "config.json", endpoint=here.endpoint, token=api.token)
    here.store.access.add(("ann", "bob/gate"))
    assert hf_hub_download("bob/gate", "config.json", endpoint=here.endpoint, token=api.token)
    with pytest.raises(RevisionNotFoundError):
        api.model_info("bob/gate", revision="nope")
    with pytest.raises(RemoteEntryNotFoundError):
        hf_hub_download("bob/gate", "x.json", endpoint=here.endpoint, token=api.token)
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        HfApi(endpoint=here.endpoint, token="hf_wrong").model_info("bob/gate")
    reader = HfApi(endpoint=here.endpoint, token=here.store.token("bob", "read"))
    with pytest.raises(HfHubHTTPError) as weak:
        reader.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id="bob/gate")
    assert weak.value.response.status_code == 403


def test_the_cdn_refuses_a_token(here):
    digest = here.store.file("model.bin", b"abc").sha256
    url = f"{here.api.cdn}/lfs/{digest}?signature=a"
    assert http.get(url).content == b"abc"
    assert http.get(url, headers={"authorization": "Bearer x"}).status_code == 400
    part = http.get(url, headers={"range": "bytes=1-1"})
    assert (part.status_code, part.content) == (206, b"b")
