from loopback_weights import ours

from zoo.hub.fetched import Fetched


def test_what_a_checkpoint_remembers_has_no_path_and_nothing_empty(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(ours())
    got = Fetched(path=path, sha256="a", source="hub:x/y", file="w.safetensors", revision="c")
    assert got.record() == {
        "source": "hub:x/y", "file": "w.safetensors", "revision": "c", "sha256": "a",
    }  # fmt: skip
    assert got.header.info.model == "squeezenet1_1"


def test_a_signed_address_is_remembered_without_its_signature(tmp_path):
    got = Fetched(path=tmp_path, sha256="a", source="url:https://ann:pw@x.org/w.pth?sig=b")
    assert got.record()["source"] == "url:https://x.org/w.pth"
