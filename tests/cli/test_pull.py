"""``zoo pull`` as it is typed."""

from loopback_weights import only, ours, repository


def test_a_repository_and_its_json(hub, home):
    commit = repository(
        hub, "ann/net", {"model.safetensors": ours(), "README.md": "---\nlicense: mit\n---\n"}
    )
    done = home.zoo("pull", "hub:ann/net")
    assert done.code == 0, done.err
    first, second = done.out.splitlines()
    assert first.startswith(f"hub:ann/net  {commit[:12]}  2.9 MB  sha256 ")
    assert first.endswith("mit")
    assert second.strip().endswith(f"snapshots/{commit}/model.safetensors")
    assert "the default branch may move" in done.err
    (got,) = home.zoo("pull", f"hub:ann/net@{commit}", "--json").json()
    assert (got["model"], got["revision"], got["notes"]) == ("squeezenet1_1", commit, [])


def test_errors_have_their_codes_and_hints(hub, home):
    repository(hub, "ann/net", {"model.safetensors": ours()})
    for argv, code, error, hint in (
        (["hub:ann/gone"], 6, "no repository ann/gone", "hf auth login"),
        (["hub:ann/net@v9"], 6, "has no revision 'v9'", "branch main"),
        (["hub:a/b/c"], 2, "is not a repository id", "expected hub:user/name"),
        (["resnet17"], 2, "unknown model 'resnet17'", "resnet18"),
        (["resnet18:v9"], 2, "has no weights 'v9'", "imagenet1k_v1"),
        (["--locked", "hub:ann/net"], 11, "is not locked", "zoo lock hub:ann/net"),
    ):
        done = home.zoo("pull", *argv)
        assert (done.code, error in done.error, hint in done.hint) == (code, True, True), done.err
        assert "Traceback" not in done.err


def test_a_machine_without_a_network_gets_an_answer_at_once(home):
    done = home.zoo("pull", "resnet18", env={"HF_ENDPOINT": None})
    assert done.code == 6
    assert done.error.startswith("error: resnet18: cannot reach download.pytorch.org")
    assert "zoo mirror resnet18 --to DIR" in done.hint


def test_offline_lists_what_is_missing_in_one_table(hub, home):
    repository(hub, "ann/net", {"model.safetensors": ours()})
    assert home.zoo("pull", "hub:ann/net").code == 0
    hub.seen.clear()
    names = ("hub:ann/net", "resnet18", "hub:x/y")
    done = home.zoo("pull", "--offline", *names)
    assert done.code == 6
    rows = [line.split()[:2] for line in done.out.splitlines()]
    assert rows == [
        ["REFERENCE", "STATE"],
        ["hub:ann/net", "cached"],
        ["resnet18", "missing"],
        ["hub:x/y", "missing"],
    ]
    assert done.error == "error: offline mode: 2 of 3 are missing"
    told = home.zoo("pull", *names, "--json", env={"HF_HUB_OFFLINE": "1"})
    assert (told.code, [row["state"] for row in told.json()]) == (
        6,
        ["cached", "missing", "missing"],
    )
    assert home.zoo("pull", "--offline", "hub:ann/net").code == 0
    assert not hub.seen


def test_a_pickle_needs_a_word(hub, home, tmp_path):
    import torch
    from loopback_weights import built

    torch.save(built().state_dict(), tmp_path / "m.bin")
    repository(hub, "ann/net", {"pytorch_model.bin": (tmp_path / "m.bin").read_bytes()})
    done = home.zoo("pull", "hub:ann/net")
    assert (done.code, "--allow-pickle" in done.hint) == (6, True)
    done = home.zoo("pull", "hub:ann/net", "--allow-pickle")
    assert done.code == 0, done.err
    assert done.out.splitlines()[1].endswith(".safetensors")
    assert "does not say which model it is of" in done.err


def test_a_look_leaves_what_is_damaged_and_tells_it_from_what_is_missing(hub, home):
    commit = repository(hub, "ann/net", {"model.safetensors": ours(), "config.json": {}})
    repository(hub, "ann/other", {"model.safetensors": ours(), "config.json": {}})
    for name in ("hub:ann/net", "hub:ann/other"):
        assert home.zoo("pull", name).code == 0
    blob = only(home.cache / "models--ann--net", "snapshots/*/model.safetensors").resolve()
    blob.write_bytes(b"rot" + blob.read_bytes()[3:])
    other = cached_commit(home, "ann/other")
    (home.work / "registry.toml").write_text(
        "schema = 1\n[[pin]]\nsource = 'hub:ann/other'\n"
        f"revision = '{other}'\nfile = 'model.safetensors'\nsha256 = '{'ab' * 32}'\n"
    )
    done = home.zoo("pull", "--offline", "hub:ann/net", "hub:ann/other", "hub:ann/gone")
    assert done.code == 6
    assert [line.split()[1] for line in done.out.splitlines()[1:]] == [
        "damaged", "refused", "missing",
    ]  # fmt: skip
    for said in ("is damaged", "not the file that was named"):
        assert said in done.out
    assert (
        done.error
        == "error: offline mode: 1 of 3 are refused, 1 of 3 are missing, 1 of 3 are damaged"
    )
    assert "zoo verify --remove" in done.hint
    assert blob.read_bytes().startswith(b"rot")
    assert home.zoo("verify", "--remove").code == 11
    got = home.zoo("pull", "hub:ann/net", "--json").json()
    assert (got[0]["revision"], blob.exists()) == (commit, True)


def cached_commit(home, repo):
    folder = home.cache / f"models--{repo.replace('/', '--')}" / "snapshots"
    (found,) = folder.iterdir()
    return found.name


def test_what_came_before_an_error_is_shown(hub, home):
    repository(hub, "ann/net", {"model.safetensors": ours(), "config.json": {}})
    done = home.zoo("pull", "hub:ann/net", "hub:ann/none")
    assert (done.code, "no repository ann/none" in done.error) == (6, True), done.err
    assert done.out.startswith("hub:ann/net  ")
    done = home.zoo("pull", "hub:ann/net", "hub:ann/none", "--json")
    told = done.json()
    assert (done.code, told["exit_code"], "no repository ann/none" in told["error"]) == (6, 6, True)
    assert [got["reference"] for got in told["pulled"]] == ["hub:ann/net"]
    assert "pulled" not in home.zoo("pull", "hub:ann/none", "--json").json()


def test_the_ways_on_are_ways_of_pull(hub, home):
    hub.stop()
    for name, mirrored in (("hub:ann/net", "hub:ann/net"), ("resnet18", "resnet18")):
        for flags in ([], ["--offline"]):
            done = home.zoo("pull", name, *flags)
            assert done.code == 6
            assert "--weights" not in done.hint
            assert flags or f"zoo mirror {mirrored} --to DIR" in done.hint
