from zoo.hub.ways import ways_on, ways_to


def test_every_way_is_one_line_with_a_command():
    text = ways_on("resnet18")
    assert "\n" not in text
    for way in (
        "--weights none --allow-random-frozen",
        "--weights file:PATH",
        "--weights run:NAME",
        "HF_ENDPOINT=",
        "zoo mirror resnet18 --to DIR",
    ):
        assert way in text
    assert "zoo mirror MODEL" in ways_on("")
    assert ways_on("resnet18").endswith(ways_to("resnet18"))
    assert "--weights" not in ways_to("")
