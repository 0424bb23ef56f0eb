from zoo.core import protocols


class Mean:
    def update(self, outputs, targets):
        pass

    def compute(self):
        return 0.0

    def reset(self):
        pass


class Board:
    def scalars(self, values, step):
        pass

    def image(self, name, image, step):
        pass

    def graph(self, model, example):
        pass

    def close(self):
        pass


def test_metrics_and_trackers_are_told_apart_by_what_they_can_do():
    assert isinstance(Mean(), protocols.Metric)
    assert isinstance(Board(), protocols.Tracker)
    assert not isinstance(Mean(), protocols.Tracker)
    assert not isinstance(Board(), protocols.Metric)


def test_no_inheritance_is_asked_for():
    assert protocols.Metric not in Mean.__mro__


def test_calls_keep_their_argument_names():
    import inspect

    for protocol, names in (
        (protocols.Loss, ["self", "outputs", "targets"]),
        (protocols.Augmentation, ["self", "image"]),
        (protocols.BatchTransform, ["self", "images", "labels"]),
    ):
        assert list(inspect.signature(protocol.__call__).parameters) == names
