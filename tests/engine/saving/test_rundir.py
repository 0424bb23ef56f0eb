import json
import os
import subprocess
import sys

import pytest

from zoo.core.recipe import OutputPart
from zoo.engine.saving import atomic
from zoo.engine.saving.live import Position
from zoo.engine.saving.rundir import RunFolder, check_name, require_free
from zoo.errors import BusyError, DiskError, UsageError


def test_names_are_numbered_and_never_reused(tmp_path):
    names = []
    for _ in range(3):
        with RunFolder.create(tmp_path, stem="resnet18-demo") as folder:
            names.append(folder.name)
    assert names == ["resnet18-demo-001", "resnet18-demo-002", "resnet18-demo-003"]
    (tmp_path / "resnet18-demo-002").rename(tmp_path / "elsewhere")
    with RunFolder.create(tmp_path, stem="resnet18-demo") as folder:
        assert folder.name == "resnet18-demo-004"


def test_a_stem_becomes_a_file_name(tmp_path):
    with RunFolder.create(tmp_path, stem="timm/resnet18 my data") as folder:
        assert folder.name == "timm-resnet18-my-data-001"


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "-x"])
def test_a_name_is_one_plain_word(tmp_path, name):
    with pytest.raises(UsageError, match="cannot be a run's name"):
        RunFolder.create(tmp_path, name=name)


def test_nothing_is_overwritten(tmp_path):
    with RunFolder.create(tmp_path, name="mine") as folder:
        folder.write_text("recipe.toml", "")
    with pytest.raises(UsageError, match="run mine exists") as caught:
        RunFolder.create(tmp_path, name="mine")
    assert "zoo resume" in caught.value.hint
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match="nothing was written"):
        RunFolder.create(tmp_path, name="photos")
    assert [p.name for p in (tmp_path / "photos").iterdir()] == ["a.jpg"]


@pytest.mark.parametrize("left", [(), (".lock",), (".lock", "checkpoints", ".staging", ".owner")])
def test_what_a_run_left_that_was_killed_before_it_began_is_taken_over(tmp_path, left):
    for name in left:
        path = tmp_path / "mine" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"") if name in (".lock", ".owner") else path.mkdir()
    (tmp_path / "mine").mkdir(exist_ok=True)
    with RunFolder.create(tmp_path, name="mine") as folder:
        assert (folder.path / "checkpoints").is_dir()
    (tmp_path / "mine" / "checkpoints" / "step-00000001.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match="run mine exists"):
        RunFolder.create(tmp_path, name="mine")


def test_only_a_run_can_be_opened(tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        RunFolder.open(tmp_path)


def test_a_folder_belongs_to_one_process(tmp_path):
    with RunFolder.create(tmp_path, name="mine") as folder:
        code = (
            "import sys; from pathlib import Path; from zoo.engine.saving.rundir import RunFolder\n"
            "from zoo.errors import BusyError\n"
            "try: RunFolder.open(Path(sys.argv[1]))\n"
            "except BusyError as error: print(error); sys.exit(error.exit_code)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder.path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 10
        assert f"in use by process {os.getpid()} on " in done.stdout
    RunFolder.open(folder.path).close()


def test_a_killed_holder_frees_the_folder(tmp_path):
    RunFolder.create(tmp_path, name="mine").close()
    code = (
        "import sys, time; from pathlib import Path; from zoo.engine.saving.rundir import RunFolder\n"
        "folder = RunFolder.open(Path(sys.argv[1]))\n"
        "(folder.staging / 'half.tmp').write_bytes(b'x')\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "mine")], stdout=subprocess.PIPE
    )
    assert child.stdout.readline() == b"ready\n"
    with pytest.raises(BusyError):
        RunFolder.open(tmp_path / "mine")
    child.kill()
    child.wait()
    child.stdout.close()
    with RunFolder.open(tmp_path / "mine") as folder:
        assert folder.swept == 1
        assert not list(folder.staging.iterdir())


def lines(folder):
    return [json.loads(line) for line in folder.metrics.read_text().splitlines()]


def test_metrics_are_rewound_to_the_resumed_position(tmp_path):
    with RunFolder.create(tmp_path) as folder:
        assert folder.rewind(Position()) == 0
        for step in range(1, 7):
            folder.record({"kind": "step", "epoch": (step - 1) // 3, "step": step})
            if step % 3 == 0:
                folder.record({"kind": "epoch", "epoch": step // 3 - 1, "step": step})
        with folder.metrics.open("a") as file:
            file.write('{"kind":"step","st')
        assert folder.rewind(Position(epoch=1, step=5)) == 3
        assert [(row["kind"], row["step"]) for row in lines(folder)] == [
            ("step", 1), ("step", 2), ("step", 3), ("epoch", 3), ("step", 4), ("step", 5),
        ]  # fmt: skip
        assert folder.rewind(Position(epoch=1, step=5)) == 0
        folder.record({"kind": "step", "epoch": 1, "step": 6})
        folder.flush()
        assert lines(folder)[-1]["step"] == 6


def test_an_epoch_that_was_not_judged_yet_is_judged_again(tmp_path):
    with RunFolder.create(tmp_path) as folder:
        folder.record({"kind": "step", "epoch": 0, "step": 3})
        folder.record({"kind": "epoch", "epoch": 0, "step": 3})
        folder.rewind(Position(epoch=0, batch=3, step=3))
        assert [row["kind"] for row in lines(folder)] == ["step"]


def test_text_and_log(tmp_path):
    with RunFolder.create(tmp_path) as folder:
        folder.write_text("recipe.toml", "a = 1\n")
        folder.log("said")
        assert (folder.path / "recipe.toml").read_text() == "a = 1\n"
        assert (folder.path / "log.txt").read_text().endswith(" said\n")


def test_too_little_space_is_said_before_the_first_step(tmp_path):
    with RunFolder.create(tmp_path) as folder:
        folder.require_space(1)
        with pytest.raises(DiskError, match="MB free, the run needs 1000000000000 MB"):
            folder.require_space(10**18)


def test_a_parent_that_cannot_be_made_is_a_disk_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskError):
        RunFolder.create(tmp_path / "file" / "runs")


def test_runs_are_not_made_in_a_file(tmp_path):
    (tmp_path / "runs").write_text("text")
    with pytest.raises(UsageError, match="runs is a file, not a folder of runs"):
        RunFolder.create(tmp_path / "runs", name="x")


def test_a_folder_that_is_gone_is_said(tmp_path):
    with RunFolder.create(tmp_path, name="run") as folder:
        folder.require_there()
        folder.path.rename(tmp_path / "elsewhere")
        with pytest.raises(DiskError, match="is gone") as caught:
            folder.require_there()
    assert caught.value.exit_code == 8


def test_the_names_of_the_folder_and_of_the_metrics_are_flushed(tmp_path, monkeypatch):
    flushed = []
    real = atomic.sync_folder
    monkeypatch.setattr(atomic, "sync_folder", lambda path: (flushed.append(path), real(path)))
    with RunFolder.create(tmp_path / "runs", name="run") as folder:
        assert flushed[:2] == [tmp_path, tmp_path / "runs"]
        flushed.clear()
        folder.flush()
        assert flushed == []
        folder.record({"kind": "step", "epoch": 0, "step": 1})
        folder.flush()
        folder.flush()
        assert flushed == [folder.path]


def test_whether_a_folder_is_free_is_asked_without_taking_it(tmp_path):
    require_free(tmp_path / "none")
    with RunFolder.create(tmp_path, name="run") as folder:
        with pytest.raises(BusyError, match=f"in use by process {os.getpid()} on") as caught:
            require_free(folder.path)
        assert caught.value.exit_code == 10
        with pytest.raises(BusyError):
            check_name(OutputPart(dir=str(tmp_path), name="run"))
    require_free(folder.path)
    with RunFolder.open(folder.path):
        pass


def test_a_run_killed_before_its_recipe_was_written_gives_its_name_back(tmp_path):
    with RunFolder.create(tmp_path, name="run") as folder:
        folder.write_text("origin.json", "{}")
    with RunFolder.create(tmp_path, name="run"):
        pass
