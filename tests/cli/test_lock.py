"""``zoo lock`` as it is typed."""

from loopback_weights import ours, repository


def test_pin_check_and_pull_locked(hub, home):
    commit = repository(
        hub, "ann/net", {"model.safetensors": ours(), "README.md": "---\nlicense: mit\n---\n"}
    )
    done = home.zoo("lock", "hub:ann/net")
    assert done.code == 0, done.err
    assert done.out.splitlines()[1].split() == [
        "hub:ann/net",
        "new",
        commit[:12],
        *done.out.split()[-4:],
    ]
    assert done.err.strip() == "wrote registry.toml"
    assert home.zoo("lock", "--check").code == 0
    assert home.zoo("pull", "--locked", "hub:ann/net").code == 0
    hub.store.commit("ann/net", {"model.safetensors": ours(num_classes=9)})
    moved = home.zoo("lock", "--check", "--json")
    assert moved.code == 11
    assert '"state": "moved"' in moved.out
    got = home.zoo("pull", "--locked", "hub:ann/net", "--json").json()
    assert (got[0]["revision"], got[0]["classes"]) == (commit, 7)
    assert home.zoo("lock").code == 0
    assert home.zoo("pull", "--locked", "hub:ann/net", "--json").json()[0]["classes"] == 9


def test_another_file_and_nothing_to_do(hub, home):
    repository(hub, "ann/net", {"model.safetensors": ours()})
    done = home.zoo("lock", "hub:ann/net", "--to", "pins.toml")
    assert "which zoo does not read by itself" in done.err
    assert (home.work / "pins.toml").is_file()
    done = home.zoo("lock")
    assert (done.code, done.hint) == (2, "hint: zoo lock MODEL ...")


def test_without_a_network_nothing_is_checked_and_nothing_pinned(hub, home):
    repository(hub, "ann/net", {"model.safetensors": ours()})
    assert home.zoo("lock", "hub:ann/net").code == 0
    assert home.zoo("pull", "hub:ann/net").code == 0
    pins = (home.work / "registry.toml").read_text()
    for argv in (["--offline", "lock", "--check"], ["--offline", "lock"]):
        done = home.zoo(*argv)
        assert (done.code, "offline mode: hub:ann/net cannot" in done.error) == (6, True), done.err
    assert (home.work / "registry.toml").read_text() == pins
