"""``zoo plugins doctor`` says which plugin takes every other command with it."""

import json


def test_good_plugins_are_listed_with_their_time(site, zoo):
    site.code("one", "")
    code, out, _ = zoo("plugins", "doctor")
    assert code == 0
    (row,) = [line for line in out.splitlines() if line.startswith("one")]
    assert row.split()[1:2] == ["zoo-one"]
    assert row.split()[-1] == "ok"


def test_a_bad_one_is_an_error_that_says_how_to_go_on(site, zoo):
    site.code("good", "")
    site.code("one", "import os; os._exit(7)")
    code, out, err = zoo("plugins", "doctor")
    assert code == 4
    assert "good" in out
    assert "one: it ended the process with exit code 7" in err
    assert "hint: zoo plugins disable one" in err


def test_as_json_every_plugin_is_an_object(site, zoo):
    site.code("good", "")
    site.code("one", "import os; os._exit(7)")
    code, out, _ = zoo("plugins", "doctor", "--json")
    states = {p["name"]: p["state"] for p in json.loads(out) if p["state"] != "disabled"}
    assert code == 4
    assert states == {"good": "ok", "one": "died"}


def test_each_one_is_asked_for_itself_however_many_there_are(site, zoo):
    for name in ("alpha", "beta"):
        site.code(name, "")
    site.code("omega", "raise RuntimeError('boom')")
    code, out, err = zoo("plugins", "doctor", "--json")
    found = {p["name"]: p for p in json.loads(out) if p["name"] in ("alpha", "beta", "omega")}
    assert {name: p["state"] for name, p in found.items()} == {
        "alpha": "ok",
        "beta": "ok",
        "omega": "quarantined",
    }
    assert "boom" in found["omega"]["error"]
    assert (code, err) == (4, "")
