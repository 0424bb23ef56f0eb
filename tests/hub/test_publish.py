"""One commit, never over somebody else's, never twice."""

import json

import pytest
from loopback_runs import info, plan
from loopback_weights import built

from zoo.engine.saving.checkpoint import save_weights
from zoo.errors import HubError, UsageError
from zoo.hub import publish
from zoo.hub.publish import push


@pytest.fixture
def ann(here, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", here.store.token("ann"))
    return here


def test_a_new_repository_gets_everything_in_one_commit(ann, run):
    planned = plan(run)
    assert not planned.exists
    assert {c.path: c.state for c in planned.changes} == dict.fromkeys(
        ("model.safetensors", "config.json", "README.md", "recipe.toml"), "new"
    )
    assert not ann.store.repos
    done = push(planned, private=True)
    repo = ann.store.repos["ann/pets"]
    assert repo.private
    assert repo.head.oid == done.commit
    assert repo.head.parent == next(iter(repo.commits))
    assert len(repo.commits) == 2
    assert set(repo.head.files) >= {"model.safetensors", "config.json", "README.md", "recipe.toml"}
    assert ann.store.read("ann/pets", "model.safetensors") == run.read_bytes()
    config = json.loads(ann.store.read("ann/pets", "config.json"))
    assert (config["architecture"], config["zoo"]["model"]) == ("resnet18", "resnet18")
    assert done.url == f"{ann.endpoint}/ann/pets/commit/{done.commit}"
    assert all(not s.authorized for s in ann.seen if s.server == "cdn")


def test_pushing_twice_makes_one_commit_and_says_so(ann, run):
    first = push(plan(run))
    again = plan(run)
    assert again.nothing_new
    done = push(again)
    assert (done.changed, done.commit) == (False, first.commit)
    assert len(ann.store.repos["ann/pets"].commits) == 2


def test_only_what_changed_is_sent(ann, run):
    push(plan(run))
    later = plan(run, licence="apache-2.0")
    assert {c.path for c in later.changes if c.state != "same"} == {"README.md"}
    push(later)
    assert b"license: apache-2.0" in ann.store.read("ann/pets", "README.md")


def test_somebody_pushed_first(ann, run):
    push(plan(run))
    ours = plan(run, licence="apache-2.0")
    theirs = ann.store.commit("ann/pets", {"README.md": b"theirs"})
    with pytest.raises(HubError, match="someone pushed to ann/pets first; nothing was overwritten"):
        push(ours)
    assert ann.store.repos["ann/pets"].head.oid == theirs


def test_the_cards_prose_and_licence_are_kept(ann, run):
    ann.store.create("ann/pets")
    old = b"---\nlicense: cc-by-4.0\n---\n# Pets\n\nMy words.\n"
    ann.store.commit("ann/pets", {"README.md": old, "pytorch_model.bin": b"x"})
    planned = plan(run, licence="")
    assert planned.licence == "cc-by-4.0"
    assert "left as it is there: pytorch_model.bin" in planned.notes
    push(planned)
    text = ann.store.read("ann/pets", "README.md").decode()
    assert "# Pets\n\nMy words." in text
    assert "license: cc-by-4.0" in text
    assert "pytorch_model.bin" in ann.store.repos["ann/pets"].head.files


def test_a_branch_is_made_and_main_stays(ann, run):
    push(plan(run))
    main = ann.store.repos["ann/pets"].head.oid
    done = push(plan(run, branch="next", licence="apache-2.0"))
    refs = ann.store.repos["ann/pets"].refs
    assert refs["refs/heads/next"] == done.commit != main
    assert refs["refs/heads/main"] == main


def test_a_pull_request_instead(ann, run):
    push(plan(run))
    main = ann.store.repos["ann/pets"].head.oid
    done = push(plan(run, licence="apache-2.0"), create_pr=True)
    assert done.pull_request.endswith("/discussions/1")
    assert ann.store.repos["ann/pets"].head.oid == main
    with pytest.raises(UsageError, match="does not exist"):
        push(plan(run, "ann/other"), create_pr=True)


def test_no_token_is_said_before_any_work(here, run):
    with pytest.raises(HubError, match="not logged in"):
        push(plan(run))
    with pytest.raises(HubError, match="not logged in"):
        publish.require_token()
    assert not here.store.repos


@pytest.mark.parametrize("role", ["read", "other"])
def test_a_token_that_may_not_write(here, run, monkeypatch, role):
    here.store.create("ann/pets")
    user = ("ann", "read") if role == "read" else ("bob", "write")
    monkeypatch.setenv("HF_TOKEN", here.store.token(*user))
    with pytest.raises(HubError, match=r"the token \(HF_TOKEN\) may not write to ann/pets"):
        push(plan(run))
    assert len(here.store.repos["ann/pets"].commits) == 1


def test_a_wrong_token(here, run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_nonsense")
    with pytest.raises(HubError, match=r"the token \(HF_TOKEN\) was not accepted"):
        plan(run)


def test_a_push_that_breaks_off(ann, run):
    planned = plan(run)
    ann.fault("status", method="PUT", path="/lfs/", status=400, times=9)
    with pytest.raises(HubError):
        push(planned)
    assert "model.safetensors" not in ann.store.repos["ann/pets"].head.files


def test_a_hub_that_dies_meanwhile(ann, run):
    planned = plan(run)
    ann.fault("before", method="POST", path="/commit/", action=ann.stop)
    with pytest.raises(HubError, match="ann/pets: cannot reach") as error:
        push(planned)
    assert "not cached" not in str(error.value)
    assert error.value.hint.startswith("push again")


def test_paths_of_this_machine_stay_here(ann, tmp_path):
    path = tmp_path / "model.safetensors"
    recipe = info().recipe
    recipe["data"]["source"] = "/home/ann/secret/pets"
    save_weights(path, built("resnet18", 3).state_dict(), info(recipe=recipe))
    planned = plan(path)
    assert "paths, addresses and notes of this machine" in planned.notes[0]
    push(planned)
    for name in ("model.safetensors", "recipe.toml", "README.md", "config.json"):
        assert b"secret" not in ann.store.read("ann/pets", name)
    assert plan(path).nothing_new
