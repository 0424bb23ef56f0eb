"""``zoo cache`` as it is typed."""

from loopback_weights import only, ours, repository


def test_show_and_prune(hub, home):
    assert home.zoo("cache").out.split()[5:7] == ["other", "shapes/"]
    first = repository(hub, "ann/net", {"model.safetensors": ours()})
    home.zoo("pull", "hub:ann/net")
    hub.store.commit("ann/net", {"model.safetensors": ours(num_classes=9)})
    home.zoo("pull", "hub:ann/net")
    rows = [line.split() for line in home.zoo("cache").out.splitlines()[1:]]
    assert {row[0] for row in rows} == {"hub", "other"}
    assert next(row for row in rows if first[:12] in row[1])[-2:] == ["no", "name"]
    done = home.zoo("cache", "--prune", "--dry-run")
    assert "would free 2.9 MB in 1 entries" in done.err
    assert "freed 2.9 MB in 1 entries" in home.zoo("cache", "--prune").err
    assert only(home.cache, "snapshots/*/model.safetensors")
    assert home.zoo("cache", "--prune", "--all").code == 0
    assert home.zoo("cache", "--json").json() == []


def test_what_zoo_lock_pinned_is_still_there_after_a_prune(hub, home):
    repository(hub, "ann/net", {"model.safetensors": ours(), "config.json": {}})
    assert home.zoo("lock", "hub:ann/net").code == 0
    assert home.zoo("pull", "--locked", "hub:ann/net").code == 0
    hub.store.commit("ann/net", {"model.safetensors": ours(num_classes=9)})
    assert "freed 0 B in 0 entries" in home.zoo("cache", "--prune").err
    assert home.zoo("pull", "--locked", "--offline", "hub:ann/net").code == 0


def test_days_that_are_none(home):
    for days in ("-3", "nan", "inf"):
        done = home.zoo("cache", "--prune", "--older-than", days)
        assert (done.code, done.hint) == (2, "hint: --older-than 30"), done.err
