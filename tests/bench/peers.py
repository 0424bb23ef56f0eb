"""Fine-tuning with zoo beside a plain loop, timm, torchvision, Lightning, fastai, transformers.

The same JPEG files, the same pretrained resnet18, the same epochs, batch, rate and crops; each
run in a process of its own, start-up included; all of them interleaved over rounds, each round
with another seed. Wall and CPU time, peak memory, the ratio to ``zoo finetune`` and the accuracy
after the last epoch are printed as a table; ``--json`` keeps the raw runs. ::

    python3 -m venv peers && peers/bin/pip install timm lightning fastai 'transformers[torch]'
    python tests/bench/peers.py --python peers/bin/python \\
        --timm-script pytorch-image-models/train.py \\
        --torchvision-references vision/references/classification

The two scripts are in no wheel: they come with a clone of each project. What is missing is named
and left out; nothing of the others is stored here. How each is driven stands in ``lineup.py`` and
``drivers/``. Each peer freezes what and how it can; where its script cannot freeze, it trains
everything, which is what its users get. ``--write docs/explanation/speed.md`` replaces the
table of that page.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lineup import DRIVERS, LINEUP, Job, Peer
from measure import quiet_env, run
from summary import conditions, table
from tables import machine, machine_line, write_block, write_json

HUB_FILE = "hub/checkpoints/resnet18-f37072fd.pth"
"""Where torchvision keeps what it downloaded: the same file for all who ask it for weights."""

NAMES = {"layer3": "frozen up to layer3", "backbone": "head only", "none": "nothing frozen"}
"""How the blocks of the page are called."""

PROBE = """
import importlib.metadata as m, json, sys
def version(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return None
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
"""

HAS_BF16 = """
import sys, torch
from zoo.engine.place import computes_bf16
print(computes_bf16(torch.device(sys.argv[1])))
"""

IMPORT = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
"""Tells an install that is broken from one that works, and fills the disk cache for all alike."""

ON_GPU = """
import torch
torch.nn.Conv2d(3, 8, 3).cuda().bfloat16()(torch.zeros(2, 3, 32, 32).cuda().bfloat16()).sum().item()
"""
"""Loads the libraries of a GPU once before anybody is measured; they are gigabytes."""


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=int, default=300, help="training images")
    add("--val-images", type=int, default=100)
    add("--classes", type=int, default=10)
    add("--size", type=int, default=224, help="pixels that the network sees")
    add("--pixels", type=int, help="width of the images as stored; default: 500 for 224")
    add("--epochs", type=int, default=3)
    add("--batch", type=int, default=32)
    add("--lr", type=float, default=0.01)
    add("--rounds", type=int, default=2)
    add("--freeze", choices=("layer3", "backbone", "none"), default="layer3")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: the cores")
    add("--workers", type=int, help="loader processes of the others; default: the cores")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--only", nargs="+", choices=[peer.name for peer in LINEUP], metavar="PEER")
    add("--python", action="append", default=[], metavar="[PEER=]PATH", help="of the others")
    add("--timm-script", type=Path, metavar="FILE", help="timm's train.py")
    add("--torchvision-references", type=Path, metavar="FOLDER", help="references/classification")
    add("--pretrain-epochs", type=int, default=4, help="of the pretrained file; 0: random weights")
    add("--material", type=Path, metavar="FOLDER", help="keep images and pretrained file here")
    add("--json", type=Path, metavar="FILE", help="raw runs")
    add("--write", type=Path, metavar="PAGE", help="the page whose table is replaced")
    given = parser.parse_args(argv)
    given.pixels = given.pixels or max(32, given.size * 500 // 224 // 8 * 8)
    given.workers = given.threads if given.workers is None else given.workers
    return given


def pythons(given: argparse.Namespace) -> dict[str, Path]:
    """The Python of each peer; zoo has this one."""
    default, own = Path(sys.executable), {}
    for text in given.python:
        name, mark, path = text.rpartition("=")
        if mark:
            own[name] = Path(path).absolute()
        else:
            default = Path(path).absolute()
    return {p.name: Path(sys.executable) if p.ours else own.get(p.name, default) for p in LINEUP}


def present(given: argparse.Namespace, found: dict[str, Path]) -> list[tuple[Peer, str]]:
    """Who can take part, with the version; who cannot is named."""
    chosen = []
    for peer in LINEUP:
        unasked = peer.name == "zoo-shrink" and given.pixels < 1024  # nothing would be reduced
        if peer.name not in given.only if given.only else unasked:
            continue
        if peer.bf16 and not given.only and not has_bf16(given.device):
            print(f"left out: {peer.title}: bf16 is emulated here (--only asks for it)", flush=True)
            continue
        why, version = missing(peer, given, found[peer.name])
        if why:
            print(f"left out: {peer.title}: {why}", flush=True)
        else:
            chosen.append((peer, version))
    return chosen


def has_bf16(device: str) -> bool:
    """Whether the device computes in it; asked in a process of its own, which torch makes large."""
    probe = [sys.executable, "-W", "ignore", "-c", HAS_BF16, device]
    return subprocess.run(probe, capture_output=True, text=True, check=True).stdout == "True\n"


def missing(peer: Peer, given: argparse.Namespace, python: Path) -> tuple[str, str]:
    """Why a peer cannot take part (empty: it can), and its version."""
    if peer.script and not getattr(given, peer.script):
        return f"needs --{peer.script.replace('_', '-')}", ""
    names = ("zoo-registry",) if peer.ours else peer.needs
    probe = [str(python), "-c", PROBE, *names]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return f"{python} does not run", ""
    versions: dict[str, str | None] = json.loads(done.stdout)
    absent = [name for name, number in versions.items() if number is None]
    if absent:
        return f"pip install {' '.join(absent)}", ""
    modules = [name.removesuffix("-registry") for name in names]
    warm = ON_GPU if given.device == "cuda" else ""
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", IMPORT + warm, *modules],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return f"does not import: {done.stderr.strip().splitlines()[-1]}", ""
    return "", f"{modules[-1]} {versions[names[-1]]}"


def make_material(given: argparse.Namespace, place: Path) -> Job:
    """Images and pretrained file, made once, in a process of its own; gives the shared job."""
    key = f"{given.images}-{given.val_images}-{given.classes}-{given.pixels}"
    job: Job = {
        "data": str(place / f"images-{key}"),
        "weights": str(place / f"resnet18-{given.pretrain_epochs}.pth"),
        "images": given.images,
        "val_images": given.val_images,
        "pixels": given.pixels,
        "pretrain_epochs": given.pretrain_epochs,
    }
    for name in ("classes", "size", "epochs", "batch", "lr", "freeze", "threads", "workers",
                 "device", "timm_script", "torchvision_references"):  # fmt: skip
        value = getattr(given, name)
        job[name] = str(value.absolute()) if isinstance(value, Path) else value
    if Path(job["data"]).exists() and Path(job["weights"]).exists():
        return job
    place.mkdir(parents=True, exist_ok=True)
    (place / "job.json").write_text(json.dumps(job))
    maker = [sys.executable, str(Path(__file__).parent / "material.py"), str(place / "job.json")]
    subprocess.run(maker, check=True)
    return job


def one_run(peer: Peer, shared: Job, number: int, python: Path) -> dict[str, Any]:
    """A peer's run of a round, from nothing: no cache, no compiled code of an earlier one."""
    with tempfile.TemporaryDirectory(prefix=f"zoo-peers-{peer.name}-") as folder:
        home = Path(folder)
        job = {**shared, "peer": peer.name, "seed": number, "out": folder}
        (home / "job.json").write_text(json.dumps(job))
        kept = home / "torch" / HUB_FILE
        kept.parent.mkdir(parents=True)
        shutil.copyfile(job["weights"], kept)
        env = quiet_env(home, job["threads"])
        if peer.prepared:
            prepare = [str(python), str(DRIVERS / "prepare.py"), f"{folder}/job.json"]
            subprocess.run(prepare, env=env, check=True, capture_output=True)
        command = [str(python), *peer.command(job)]
        cost = run(command, env=env, cwd=home, gpu=job["device"] == "cuda")
        if cost.code:
            raise SystemExit(f"{peer.title} failed:\n{cost.output[-3000:]}")
        top1, rate = peer.top1(job, cost.output), peer.rate(job, cost.output)
    if len(top1) != job["epochs"]:
        raise SystemExit(f"{peer.title} reported {len(top1)} epochs of {job['epochs']}")
    return {
        "peer": peer.name,
        "round": number,
        "wall": round(cost.wall, 2),
        "cpu": round(cost.cpu, 2),
        "rss_mb": round(cost.rss),
        "rate": rate and round(rate, 1),
        "busy": cost.busy and round(cost.busy, 1),
        "top1": [round(share, 4) for share in top1],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Make the material, run everybody, print, write."""
    given = options(argv)
    found = pythons(given)
    lineup = present(given, found)
    if not lineup:
        raise SystemExit("nobody is left to measure")
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="zoo-peers-") as temporary:
        shared = make_material(given, (given.material or Path(temporary)).absolute())
        for number in range(given.rounds):
            for peer, _ in lineup if number % 2 == 0 else lineup[::-1]:
                runs.append(one_run(peer, shared, number, found[peer.name]))
                print(json.dumps(runs[-1]), flush=True)
    gpu = given.device == "cuda"
    here = machine(gpu=gpu)
    told = f"{machine_line(here)}.\n{conditions(given)}\n\n{table(lineup, runs, gpu=gpu)}"
    print(f"\n{told}")
    if given.json:
        kept = {k: v for k, v in vars(given).items() if isinstance(v, int | float | str)}
        versions = {peer.name: version for peer, version in lineup}
        write_json(given.json, {"machine": here, "options": kept, "peers": versions, "runs": runs})
    if given.write:
        where = " on a GPU" if gpu else ""
        write_block(given.write, f"peers, {NAMES[given.freeze]}{where}", told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
