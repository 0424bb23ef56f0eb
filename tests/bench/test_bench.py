"""Benches do not rot: their parts are right, and what can be made small runs, very small."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from argparse import Namespace
from pathlib import Path

import choices
import click
import lineup
import measure
import peers
import pytest
import small
import startup
import summary
import tables
import torch

from zoo.engine.place import computes_bf16

BENCH = Path(__file__).parent
SCRIPTS = sorted(path.name for path in BENCH.glob("*.py") if not path.name.startswith("test_"))
DRIVERS = sorted(path.stem for path in lineup.DRIVERS.glob("*.py"))
JOB = {
    "data": "/images", "weights": "/w/resnet18.pth", "classes": 2, "size": 32, "epochs": 2,
    "batch": 4, "lr": 0.01, "freeze": "layer3", "threads": 1, "workers": 0, "device": "cpu",
    "seed": 3, "out": "/out", "timm_script": "/timm/train.py", "torchvision_references": "/tv",
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_list_names_every_script(name):
    assert f"`{name}`" in (BENCH / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_finds_what_it_imports(name, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))  # some add folders, or ask for one thread
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    module = importlib.import_module(name.removesuffix(".py"))
    assert Path(module.__file__) == BENCH / name


def test_every_driver_is_somebodys(tmp_path):
    job = JOB | {"out": str(tmp_path)}
    used = {Path(word).stem for peer in lineup.LINEUP for word in peer.command(job)[:1]}
    assert used & set(DRIVERS) == set(DRIVERS) - {"job", "prepare"}


def test_the_line_of_zoo_is_one_that_zoo_takes():
    from zoo.cli.main import zoo as group

    line = lineup.zoo_line(JOB, "--views", "fresh")
    assert line[:3] == ["-m", "zoo", "finetune"]
    command = group.get_command(click.Context(group), "finetune")
    with click.Context(command, info_name="finetune") as context:
        command.parse_args(context, line[3:])
    assert context.params["weights"] == "file:/w/resnet18.safetensors"
    assert (context.params["freeze_upto"], context.params["epochs"]) == ("layer3", 2)
    assert "--freeze-upto" not in lineup.zoo_line(JOB | {"freeze": "none"})


def test_accuracies_are_read_where_each_leaves_them(tmp_path):
    job = JOB | {"out": str(tmp_path)}
    (tmp_path / "run").mkdir()
    rows = [{"kind": "step"}, {"kind": "epoch", "val": {"top1": 0.5}}]
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "run" / "summary.csv").write_text("epoch,eval_top1\n0,25.0\n1,75.0\n")
    (tmp_path / "top1.json").write_text("[0.1, 0.2]")
    printed = (
        "Test:  Acc@1 12.500 Acc@5 50.000\nTest: EMA Acc@1 99.0\nTest:  Acc@1 25.000 Acc@5 1\n"
    )
    assert lineup.zoo_top1(job, "") == [0.5]
    assert lineup.timm_top1(job, "") == [0.25, 0.75]
    assert lineup.torchvision_top1(job, printed) == [0.125, 0.25]
    assert lineup.driven_top1(job, "") == [0.1, 0.2]


def test_who_is_missing_is_named(capsys):
    given = peers.options(["--only", "timm", "fastai", "--python", "fastai=/no/python"])
    assert peers.present(given, peers.pythons(given)) == []
    said = capsys.readouterr().out
    assert "timm train.py: needs --timm-script" in said
    assert "fastai: /no/python does not run" in said
    nobody = peers.missing(
        lineup.Peer(name="x", title="X", frozen="", command=list, top1=list, needs=("no-such",)),
        given, Path(sys.executable),
    )  # fmt: skip
    assert nobody == ("pip install no-such", "")


def test_who_would_emulate_bf16_is_left_out_unless_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(peers, "has_bf16", lambda _device: False)
    monkeypatch.setattr(peers, "missing", lambda peer, *_: ("", peer.name))
    for words, takes_part in ([], False), (["--only", "timm-amp"], True):
        given = peers.options(words)
        names = [peer.name for peer, _ in peers.present(given, peers.pythons(given))]
        assert ("timm-amp" in names) is takes_part
        assert ("bf16 is emulated here" in capsys.readouterr().out) is not takes_part
    monkeypatch.undo()
    assert peers.has_bf16("cpu") is computes_bf16(torch.device("cpu"))


def test_what_is_installed_and_broken_is_named_too(tmp_path):
    (tmp_path / "broken-1.0.dist-info").mkdir()
    (tmp_path / "broken-1.0.dist-info" / "METADATA").write_text("Name: broken\nVersion: 1.0\n")
    (tmp_path / "broken.py").write_text("import nothing_of_that_name")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    shared = {"title": "X", "frozen": "", "command": list, "top1": list}
    peer = lineup.Peer(name="x", needs=("broken",), **shared)
    why, version = peers.missing(peer, peers.options([]), python)
    assert (why[:16], version) == ("does not import:", "")
    assert "nothing_of_that_name" in why
    (tmp_path / "broken.py").write_text("")
    assert peers.missing(peer, peers.options([]), python) == ("", "broken 1.0")


def test_the_table_gives_means_ratios_and_spread():
    known = {peer.name: peer for peer in lineup.LINEUP}
    rows = [
        ("zoo", 2.0, 3.0, 100, 0.5), ("zoo", 4.0, 3.0, 300, 0.7),
        ("plain", 12.0, 6.0, 200, 0.6), ("plain", 12.0, 6.0, 150, 0.6),
    ]  # fmt: skip
    runs = [
        {"peer": p, "wall": w, "cpu": c, "rss_mb": m, "top1": [0.0, t]} for p, w, c, m, t in rows
    ]
    text = summary.table([(known["zoo"], "zoo 1"), (known["plain"], "torch 2")], runs)
    lines = [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines()]
    assert lines[2][3:] == ["3.0", "1.00", "3.0", "1.00", "300", "60.0 (50..70)"]
    assert lines[3][3:] == ["12.0", "4.00", "6.0", "2.00", "200", "60.0 (60..60)"]
    alone = summary.table([(known["plain"], "torch 2")], runs)
    assert "| 12.0 |  | 6.0 |  |" in alone


def test_the_command_in_the_table_asks_for_the_same_again():
    given = peers.options(["--images", "7", "--freeze", "none", "--threads", "1"])
    words = summary.command(given).split()
    again = peers.options(words[2:])
    assert vars(again) == vars(given)


def test_a_block_is_replaced_and_nothing_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- bench: x, y -->\nold\n<!-- end bench: x, y -->\nb\n")
    for text in ("new", "newer\n\n| a |"):
        tables.write_block(page, "x, y", text)
        assert tables.read_block(page, "x, y").strip() == text
    assert page.read_text() == (
        "a\n<!-- bench: x, y -->\n\nnewer\n\n| a |\n\n<!-- end bench: x, y -->\nb\n"
    )
    with pytest.raises(SystemExit, match="has no block"):
        tables.write_block(page, "z", "text")


def test_a_cost_counts_the_processes_that_a_command_starts(tmp_path):
    busy = "import time\nwhile time.process_time() < 0.3: x = bytearray(50_000_000)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}]); sys.exit(3)"
    cost = measure.run([sys.executable, "-c", code], cwd=tmp_path)
    assert cost.code == 3
    assert 0.3 <= cost.cpu < cost.wall + 0.5
    assert cost.rss > 50


def test_every_command_has_a_home_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_PLUGINS", "none")
    env = measure.quiet_env(tmp_path, 3)
    assert "ZOO_PLUGINS" not in env
    assert env["OMP_NUM_THREADS"] == "3"
    assert all(env[name].startswith(str(tmp_path)) for name in ("HOME", "HF_HOME", "ZOO_CACHE"))


def test_starts_are_measured(tmp_path, capsys):
    kept = tmp_path / "starts.json"
    code = startup.main(["--rounds", "1", "--only", "zoo --help", "pass", "--json", str(kept)])
    said = capsys.readouterr().out
    assert code in (0, 1)  # how fast this machine is, is not the question here
    assert "| `zoo --help` |" in said
    runs = json.loads(kept.read_text())["runs"]
    assert set(runs) == {"zoo --help", "python -c pass"}
    assert 20 < runs["python -c pass"]["modules"] < runs["zoo --help"]["modules"] < 200
    assert 0 < runs["python -c pass"]["cpu"][0] < runs["zoo --help"]["cpu"][0]


@pytest.fixture
def as_it_was():
    """Threads and random numbers of this process, given back."""
    import torch

    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        yield
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_stages_are_measured(capsys, as_it_was):
    stages = importlib.import_module("stages")
    code = stages.main(["--rounds", "1", "--size", "32", "--batch", "2", "--classes", "3"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][2:]
    assert code == 0
    assert len(rows) > 12
    assert all(float(row.split("|")[2]) > 0 for row in rows)


def test_the_loops_cost_is_measured(capsys, as_it_was, monkeypatch):
    loop_cost = importlib.import_module("loop_cost")
    monkeypatch.setattr(loop_cost, "STEPS", 3)
    monkeypatch.setattr(loop_cost.InMemory, "batches_per_epoch", 3)
    loop_cost.main()
    assert "ours, written down" in capsys.readouterr().out


def test_downloads_are_measured(capsys, monkeypatch):
    pull = importlib.import_module("pull")
    monkeypatch.setattr(sys, "argv", ["pull", "--size", "1", "--rounds", "1"])
    assert pull.main() in (0, 1)
    assert "ratio" in capsys.readouterr().out


def test_pretrained_weights_fit_the_network_of_transformers(monkeypatch):
    resnet = pytest.importorskip("transformers.models.resnet")
    import torch
    from torchvision.models import resnet18

    monkeypatch.syspath_prepend(str(lineup.DRIVERS))
    renamed = importlib.import_module("prepare").renamed
    with torch.device("meta"):
        ours = resnet18().state_dict()
        theirs = resnet.ResNetForImageClassification(
            resnet.ResNetConfig(
                embedding_size=64, hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2],
                layer_type="basic", num_labels=1000,
            )
        ).state_dict()  # fmt: skip
    shapes = {renamed(name): value.shape for name, value in ours.items()}
    assert shapes == {name: value.shape for name, value in theirs.items()}


@pytest.fixture
def material(tmp_path, as_it_was):
    """Eight images to train on and four to judge by, and random weights, as a job names them."""
    made = importlib.import_module("material")
    data = tmp_path / "material" / "images-8-4-2-32"
    made.draw(data, "train", classes=2, images=8, first=0, pixels=64)
    made.draw(data, "val", classes=2, images=4, first=8, pixels=64)
    weights = tmp_path / "material" / "resnet18-0.pth"
    made.pretrain(weights, epochs=0)
    return JOB | {"data": str(data), "weights": str(weights), "out": str(tmp_path)}


@pytest.mark.parametrize("freeze", ["layer3", "none"])
@pytest.mark.parametrize("name", ["plain_loop", "split_loop"])
def test_the_hand_written_loops_run(name, freeze, material, tmp_path, monkeypatch):
    import torch

    kept = tmp_path / "torch" / peers.HUB_FILE
    kept.parent.mkdir(parents=True)
    shutil.copyfile(material["weights"], kept)
    (tmp_path / "job.json").write_text(json.dumps(material | {"freeze": freeze}))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(sys, "argv", [name, str(tmp_path / "job.json")])
    monkeypatch.syspath_prepend(str(lineup.DRIVERS))
    importlib.import_module(name).main()
    assert len(lineup.driven_top1(material, "")) == material["epochs"]
    before = torch.load(material["weights"], weights_only=True)
    after = torch.load(tmp_path / "model.pth", weights_only=True)
    moved = {key.split(".")[0] for key in after if key[:2] != "fc" and "num_" not in key
             and "running" not in key and not torch.equal(before[key], after[key])}  # fmt: skip
    assert moved == {"layer4"} if freeze == "layer3" else {"conv1", "layer1", "layer4"} < moved


@pytest.mark.slow
def test_jobs_are_measured_in_processes_of_their_own(material, tmp_path, capsys):
    kept = tmp_path / "runs.json"
    code = peers.main(
        "--images 8 --val-images 4 --classes 2 --size 32 --epochs 1 --rounds 1 --batch 4"
        " --pretrain-epochs 0 --threads 1 --workers 0 --only zoo"
        f" --material {Path(material['weights']).parent} --json {kept}".split()
    )
    assert code == 0
    (run,) = json.loads(kept.read_text())["runs"]
    assert run["peer"] == "zoo"
    assert 0 < run["cpu"] < 60
    assert 100 < run["rss_mb"] < 10_000
    assert 0 <= run["top1"][0] <= 1
    assert "| zoo finetune | zoo 0." in capsys.readouterr().out


def test_small_images_in_memory_are_measured_beside_the_tutorials_way(capsys):
    assert small.main(["--images", "128", "--rounds", "1"]) == 0
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if "|" in line]
    names, ratios = [row[0].strip() for row in rows[2:]], [float(row[2]) for row in rows[2:]]
    assert names[0] == "data alone: DataLoader, ToTensor"
    assert sum(ratio == 1.0 for ratio in ratios) >= 4  # the tutorials' way of each job
    assert ratios[1] > 4  # reading alone: some forty times faster here


def test_steps_with_adapters_are_measured_beside_whole_ones():
    import adapters

    asked = Namespace(model="resnet18", size=32, batch=2, rounds=1, threads=1)
    told, _, _, _, *rows = adapters.compare(asked).splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    assert told == "resnet18, 32 px, batch 2, fp32, 1 threads; median of 1 interleaved steps."
    assert cells[0][:2] == ["everything trains", "11,197,032"]
    assert cells[0][3] == "1.00"
    assert cells[1][1] == cells[2][1] == "307,904"
    assert cells[3][0] == "--lora 8 --freeze-upto layer3"
    assert cells[4][:2] == ["the head alone", "20,520"]
    assert all(float(row[2]) > 0 for row in cells)


def test_the_tutorials_way_and_zoos_read_the_same_numbers():
    shown = small.InputSpec(size=(1, 28, 28), mean=small.MEAN, std=small.STD)
    loader = small.ours(10, shown, 10)
    batch = next(iter(loader.epoch(0)))
    images, labels = small.Feed(small.Place(device=torch.device("cpu")), shown)(batch, train=True)
    plain = small.theirs(10, 28, 10).dataset
    for image, label, index in zip(images, labels, batch.indices.tolist(), strict=True):
        theirs, theirs_label = plain[index]
        assert torch.allclose(image, theirs, atol=1e-6)
        assert int(label) == theirs_label


def test_choices_mark_what_auto_takes(capsys):
    assert choices.main(["--rounds", "1", "--only", "tutorials/lenet"]) == 0
    said = capsys.readouterr().out
    assert said.count("(auto)") == 2
    assert "tutorials/lenet, 32 px, batch 4: fp32, 1 thread (auto)" in said


def test_the_table_of_views_compares_seed_by_seed():
    import views

    row = {"set": "digits", "freeze": "stage5", "epochs": 20, "pixels": 96, "share": 1.0}
    rows = [
        {**row, "way": "classic", "seed": seed, "top1": top1, "views": 20, "pixels": 128}
        for seed, top1 in ((0, 0.90), (1, 0.94))
    ]
    rows += [
        {**row, "way": "auto", "seed": seed, "top1": top1, "views": 10, "share": 0.75}
        for seed, top1 in ((0, 0.91), (1, 0.93), (2, 0.50))
    ]
    lines = views.table(rows).splitlines()
    assert lines[2] == (
        "| digits | behind stage5 | 20 | classic | 128, fresh | 2 | 92.00 | 2.83 |  |"
    )
    assert lines[3].startswith(
        "| digits | behind stage5 | 20 | auto | 96, 10 views in windows | 3 |"
    )
    assert lines[3].endswith("| +0.00 ± 1.00 |")


def test_what_auto_means_for_the_views_is_asked_of_zoo():
    import views

    assert views.meant("auto", {"epochs": 20}, 600, head=False) == (17, 0.75)
    assert views.meant("auto", {"epochs": 5}, 600, head=False) == (5, 0.75)
    assert views.meant("96px", {"epochs": 20}, 600, head=False) == (17, 0.75)
    assert [views.train_size(way) for way in ("classic", "auto", "96px")] == [None, None, "96"]
    assert views.meant("classic", {"epochs": 20}, 600, head=True) == (20, 1.0)
    assert views.meant("auto", {"epochs": 20}, 1200, head=True) == (7, 1.0)
    assert views.meant("auto", {"epochs": 20}, 1200, head=True, even=False) == (8, 1.0)
    assert views.meant("4@0.5", {"epochs": 20}, 600, head=False) == (4, 0.5)


def test_what_a_bench_needs_itself_is_not_counted_as_memory_of_what_it_measures():
    import prefix

    nothing = ([sys.executable, "-c", "pass"], dict(os.environ))
    before = prefix.measured(*nothing)["peak"]
    prefix.apart(exec, f"b'1' * {int(before + 512) << 20}")
    assert prefix.measured(*nothing)["peak"] < before + 128


def test_the_table_of_the_frozen_part_compares_each_way_with_the_plain_loop():
    import prefix

    asked = Namespace(
        images=1200, val_images=300, classes=40, size=224, threads=2, only=["layer3", "head"]
    )
    cost = {"job": "layer3", "cpu": 190.0, "peak": 1100.0, "top1": 0.5}
    rows = [
        {**cost, "way": "plain", "epochs": 20, "ran": 5, "wall": 100.0},
        {**cost, "way": "zoo --train-size same", "epochs": 20, "wall": 20.0, "cpu": 38.0},
        {**cost, "way": "zoo", "epochs": 5, "wall": 20.0},  # nothing to compare it with
        {**cost, "way": "plain", "epochs": 1, "wall": 20.0},
    ]
    told = prefix.table(rows, asked).splitlines()
    assert "Made by `python tests/bench/prefix.py --only layer3 head --plain-epochs N`." in told
    lines = told[-2:]
    assert "| plain loop, from 5 epochs | 100 | 1.00 | 190 | 1.00 | 1,100 |  |" in lines[0]
    assert "| `zoo finetune --train-size same` | 20 | 5.00 | 38 | 5.00 | 1,100 | 50.0 |" in lines[1]
