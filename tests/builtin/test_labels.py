from zoo.builtin.labels import imagenet1k


def test_imagenet_has_a_thousand_names_in_the_order_of_its_labels():
    names = imagenet1k()
    assert len(names) == len(set(names)) == 1000
    assert (names[0], names[207], names[999]) == ("tench", "golden retriever", "toilet tissue")
