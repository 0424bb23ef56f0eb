from zoo.data.leftout import note_new


def test_what_is_new_is_said_once_with_a_few_names():
    known = {}
    assert note_new("set/train", known, {}) == ()
    assert note_new("set/train", known, {"a/1.png": "odd"}) == (
        "set/train: 1 image left out, undecodable: 'a/1.png'",
    )
    assert note_new("set/train", known, {"a/1.png": "odd"}) == ()
    (line,) = note_new("set/train", known, {"a/1.png": "", **{f"b/{n}": "" for n in range(7)}})
    assert line.startswith("set/train: 7 images left out, undecodable: 'b/0', 'b/1', ")
    assert line.endswith("'b/4' and 2 more")
    assert len(known) == 8
