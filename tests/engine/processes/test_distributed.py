import pytest
import torch
from tinyrun import CPU, TinyLoader, tiny_model
from torch import nn
from torch.nn import functional

from zoo.builtin.losses import cross_entropy
from zoo.core.recipe import DevicePart, Recipe
from zoo.engine.evaluate import evaluate
from zoo.engine.feed import Feed
from zoo.engine.processes.deal import require_processes
from zoo.engine.processes.distributed import (
    ALONE,
    World,
    from_environment,
    join,
    synchronise_norms,
)
from zoo.errors import DeviceError, UsageError


@pytest.mark.slow
def test_ranks_agree_on_numbers_values_and_buffers(ranks):
    for rank, found in enumerate(ranks):
        assert found["agree"] == {
            "world": [rank, 2, rank, 2, rank == 0],
            "sum": [3.0, 1.0],
            "tensor": [2 * (2**53 + 1), 1],
            "gather": ["rank 0", "rank 1"],
            "share": {"from": 0},
            "buffer": [0.0, 0.0],
        }


@pytest.mark.slow
def test_the_gradient_is_that_of_one_process_and_travels_once(ranks):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    before = model[1].weight.detach().clone()
    loader = TinyLoader(count=21, train=False)
    outputs = model(loader.pixels / 255)
    loss = functional.cross_entropy(outputs, loader.labels)
    loss.backward()
    expected = before - model[1].weight.grad
    for found in (rank["gradients"] for rank in ranks):
        mine = torch.tensor(found["weight"]).reshape(3, 192)
        error = (mine - expected).norm() / model[1].weight.grad.norm()
        assert float(error) < 1e-6
        assert found["n"] == 21
        assert found["loss"] == pytest.approx(float(loss.detach()), abs=1e-6)
        assert found["top1"] == int((outputs.argmax(1) == loader.labels).sum())
        assert found["trips"] == 1
        assert found["quiet"] == "nullcontext"


@pytest.mark.slow
def test_class_weights_are_summed_over_the_processes(ranks):
    torch.manual_seed(0)
    model, other = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), tiny_model().eval()
    before = model[1].weight.detach().clone()
    loader = TinyLoader(count=21, train=False)
    loss = cross_entropy(weight=(1.0, 0.2, 7.0))
    loss(model(loader.pixels / 255), loader.labels).backward()
    with torch.no_grad():
        expected = float(loss(other(loader.pixels / 255), loader.labels))
    for found in (rank["weighed"] for rank in ranks):
        taken = before - torch.tensor(found["weight"]).reshape(3, 192)
        assert float((taken - model[1].weight.grad).norm() / taken.norm()) < 1e-5
        assert found["loss"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_uneven_shards_are_counted_exactly(ranks):
    loader = TinyLoader(count=23, batch_size=3, train=False)
    alone = evaluate(
        tiny_model(), loader.epoch(0), loss=functional.cross_entropy, feed=Feed(CPU), place=CPU
    )
    for found in (rank["evaluation"] for rank in ranks):
        assert found["n"] == 23
        assert found["seen"] == 23
        assert found["top1"] == alone.top1
        assert found["confusion"] == alone.confusion.tolist()
        assert found["loss"] == pytest.approx(alone.loss, abs=1e-6)


@pytest.mark.slow
def test_all_ranks_stop_together_and_go_on_bit_for_bit(ranks):
    for found in (rank["resumed"] for rank in ranks):
        assert found["code"] == 143
        assert found["stopped_after"] == ranks[0]["resumed"]["stopped_after"]
        assert found["found"]
        assert not found["writes"]
    assert ranks[0]["resumed"]["whole"] == ranks[0]["resumed"]["resumed"]
    assert ranks[0]["resumed"]["params"] == ranks[1]["resumed"]["params"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "text", "step", "saved"),
    [
        ("unread", "DataError", "image of rank 1 is torn", 1, [1]),
        ("unseen", "DataError", "image of rank 1 is torn", 3, [3]),
        ("broken", "NumericsError", "the loss is nan at step 2 (epoch 1)", 1, []),
        ("unkept", "DiskError", "the state of step ", None, None),
    ],
)
def test_the_trouble_of_one_rank_stops_all_with_the_same_words(
    ranks, name, kind, text, step, saved
):
    first, second = (rank["troubles"][name] for rank in ranks)
    assert first == second
    assert first["kind"] == kind
    assert text in first["said"]
    assert first["everywhere"]
    if step is not None:
        assert (first["step"], first["saved"]) == (step, saved)
    else:  # it is a matter of timing in which of the next steps the lost save is noticed
        assert first["saved"][0] < first["step"]
        assert f"the state of step {first['saved'][0]} stays valid" in first["said"]


@pytest.mark.slow
def test_the_broken_batch_is_named_with_every_ranks_images(ranks):
    said = ranks[1]["troubles"]["broken"]["said"]
    assert "in the batch of image-" in said
    assert "and 5 more" in said  # eight images: four a rank


@pytest.mark.slow
def test_an_error_at_the_start_is_everybodys(ranks):
    for found in (rank["troubles"]["start"] for rank in ranks):
        assert found == [
            ["rank 0 has no device", True],
            ["rank 1 has no device", True],
            ["rank 0 says no", True],
            ["process 1 sees other images than process 0", True],
            "from rank 0",
        ]


def test_alone_an_error_is_ones_own():
    error = DeviceError("gone")
    with pytest.raises(DeviceError) as caught, ALONE.together():
        raise error
    assert caught.value is error
    assert not error.everywhere
    ALONE.agree(None)
    assert ALONE.lead(lambda: 3) == 3
    with pytest.raises(UsageError):
        ALONE.lead(lambda: require_processes(Recipe(device=DevicePart(nproc=2)), ALONE))


def test_alone_nothing_has_to_travel():
    assert ALONE.main
    assert ALONE.sum([1, 2.5]) == [1.0, 2.5]
    assert ALONE.gather("x") == ["x"]
    assert ALONE.share("x") == "x"
    assert ALONE.sum_tensor(torch.ones(1)).tolist() == [1.0]
    ALONE.barrier()
    ALONE.share_buffers(nn.BatchNorm1d(1))
    with join(ALONE, torch.device("cpu")) as world:
        assert world is ALONE


def test_the_launchers_environment_is_read(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert from_environment() is ALONE
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert from_environment() is ALONE
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UsageError, match="incomplete") as caught:
        from_environment()
    assert "torchrun" in caught.value.hint
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert from_environment() == World(3, 4, 1, 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert from_environment() == World(3, 4, 1, 2)
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(UsageError):
        from_environment()


def test_others_that_cannot_be_met_are_a_device_error(monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with (
        pytest.raises(DeviceError, match="rank 1 cannot meet the other 1 processes"),
        join(World(1, 2, 1, 2), torch.device("cpu")),
    ):
        pass


def test_synchronised_norms_are_refused_on_the_cpu():
    with pytest.raises(DeviceError, match="--sync-bn needs GPUs") as caught:
        synchronise_norms(tiny_model(), torch.device("cpu"))
    assert caught.value.exit_code == 7
    assert "--freeze-upto" in caught.value.hint


def test_only_trainable_norms_are_converted_and_keys_stay():
    model = nn.Sequential(
        nn.BatchNorm2d(2), nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2)), nn.LayerNorm(2)
    )
    model[1][1].requires_grad_(False)
    keys = list(model.state_dict())
    assert synchronise_norms(model, torch.device("cuda"), frozen={"0"}) == 1
    kinds = [type(m).__name__ for m in model.modules()][1:]
    assert kinds == ["BatchNorm2d", "Sequential", "SyncBatchNorm", "BatchNorm2d", "LayerNorm"]
    assert list(model.state_dict()) == keys
    assert synchronise_norms(model, torch.device("cuda"), frozen={"0"}) == 0


@pytest.mark.parametrize("text", ["[gloo] Connection closed by peer [127.0.0.1]:1", "NCCL error"])
def test_a_lost_process_is_a_device_error(text):
    error = World(1, 2, 1, 2).alone(RuntimeError(text))
    assert isinstance(error, DeviceError)
    assert "rank 1 lost another process" in error.message
    assert ALONE.alone(RuntimeError(text)) is None
    assert World(1, 2, 1, 2).alone(RuntimeError("shapes")) is None
