import pytest

from zoo.core import registry
from zoo.errors import CheckpointError
from zoo.hub import fit
from zoo.hub.fit import Fit, compare

MODEL = {
    "conv.weight": (8, 3, 3, 3), "bn.num_batches_tracked": (), "fc.weight": (10, 8), "fc.bias": (10,)
}  # fmt: skip


def test_equal_is_ok():
    assert compare(MODEL, MODEL).ok
    assert compare(MODEL, MODEL).describe() == "everything fits"


def test_old_files_may_lack_the_counter_and_nothing_else():
    old = {k: v for k, v in MODEL.items() if "tracked" not in k}
    assert compare(old, MODEL).ok
    assert compare({**old, "x.num_batches_tracked": ()}, MODEL).unexpected == (
        "x.num_batches_tracked",
    )


def test_differences_are_named():
    found = {"conv.weight": (8, 1, 3, 3), "fc.weight": (10, 8), "head.bias": (10,)}
    got = compare(found, MODEL)
    assert got == Fit(
        missing=("fc.bias",),
        unexpected=("head.bias",),
        mismatched=(("conv.weight", (8, 1, 3, 3), (8, 3, 3, 3)),),
    )
    assert got.count == 3
    assert got.describe() == (
        "1 missing (fc.bias), 1 unexpected (head.bias), "
        "1 of another shape (conv.weight (8, 1, 3, 3) for (8, 3, 3, 3))"
    )
    with pytest.raises(CheckpointError, match=r"^x does not fit m: 1 missing \(fc.bias\)") as error:
        fit.require(got, what="x", model="m")
    assert error.value.exit_code == 5


def test_a_head_that_is_replaced_on_purpose_is_left_out():
    found = {**MODEL, "fc.weight": (1000, 8), "fc.bias": (1000,)}
    assert not compare(found, MODEL).ok
    got = compare(found, MODEL, head="fc")
    assert got.ok
    assert set(got.replaced) == {"fc.weight", "fc.bias"}
    assert not compare({**found, "fcx.weight": ()}, MODEL, head="fc").ok


def test_long_lists_are_cut():
    got = compare({}, {f"w{i}": (1,) for i in range(9)})
    assert got.describe() == "9 missing (w0, w1, w2, …)"


@pytest.mark.parametrize("name", ["squeezenet1_1", "regnet_y_400mf"])
def test_expected_shapes_are_those_of_the_model(here, name):
    known = registry.load()
    first = fit.expected_shapes(known, name, num_classes=5, options={})
    again = fit.expected_shapes(known, name, num_classes=5, options={})
    model = known.build("model", name, num_classes=5)
    assert first == again == {k: tuple(v.shape) for k, v in model.state_dict().items()}
    assert fit.expected_shapes(known, name, num_classes=6, options={}) != first


@pytest.mark.slow
def test_remembered_shapes_need_no_torch(home):
    code = (
        "import sys; from zoo.core import registry; from zoo.hub import fit;"
        "fit.expected_shapes(registry.load(), 'resnet18', num_classes=2, options={});"
        "print('torch' in sys.modules)"
    )
    assert home.run("-c", code, bare=True).out.strip() == "True"
    assert home.run("-c", code, bare=True).out.strip() == "False"
    for path in (home.path / "zoo" / "shapes").iterdir():
        path.write_text("damaged")
    assert home.run("-c", code, bare=True).out.strip() == "True"


def test_shapes_of_a_header():
    assert fit.shapes({"a": ("F32", (1, 2))}) == {"a": (1, 2)}
