from zoo.engine.watch import Watch


def test_nobody_listens_by_default():
    watch = Watch()
    watch.note("said to nobody")
    assert watch.progress is None


def test_every_watch_has_its_own_clock():
    one, other = Watch(), Watch()
    one.clock.lap("data")
    assert "data" in one.clock.seconds
    assert not other.clock.seconds
