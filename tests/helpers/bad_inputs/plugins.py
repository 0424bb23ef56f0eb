"""57 to 76: plugins. One broken plugin lies beside one that works; each command is a process."""

from __future__ import annotations

import json

from bad_inputs.case import DEMO, LENET, Answer, Case, Kitchen

GOOD = """
[plugin]
api = ">=1,<2"

[[model]]
name = "fine"
target = "zoo_good.models:fine"
summary = "Works"
"""
LIST = ("list", "fine")
DOCTOR = ("plugins", "doctor", "--timeout", "3")


def beside(command: tuple[object, ...], install):
    def make(kitchen: Kitchen):
        kitchen.manifest("good", GOOD)
        install(kitchen)
        return command

    return make


def code(text: str):
    return lambda kitchen: kitchen.code("bad", text)


def hook(body: str, name: str = "zoo_models") -> str:
    return f"from zoo.plugin import ModelSpec, hookimpl\n@hookimpl\ndef {name}():\n    {body}\n"


def stays(number: int, has: str, install, *words: str) -> Case:
    """It is left out and named on stderr; everything else goes on."""
    said = ("good/fine", "plugin bad is out of order", *words, "zoo plugins")
    return Case(number, has, beside(LIST, install), 0, said, alone=True, after=only_fine)


def probed(number: int, has: str, text: str, *words: str) -> Case:
    """Nothing in the process can stop it: found by trying each plugin in a process of its own."""
    make = beside(DOCTOR, code(text))
    return Case(
        number, has, make, 4, ("bad", "good", *words, "zoo plugins disable bad"), alone=True
    )


def only_fine(kitchen: Kitchen, answer: Answer) -> None:
    assert "bad" not in answer.out, answer.out


def gone_entry(kitchen: Kitchen) -> None:
    kitchen.install("bad", {"zoo_bad.py": ""}, entry="zoo_bad:gone")


def gone_module(kitchen: Kitchen) -> None:
    kitchen.install("bad", {}, entry="zoo_nowhere")


def twice(kitchen: Kitchen) -> None:
    kitchen.code("bad", hook("return [ModelSpec(name='odd', target='a:b')]"))
    kitchen.install("bad", {"zoo_worse.py": ""}, distribution="zoo-worse", entry="zoo_worse")


def shadow(kitchen: Kitchen) -> None:
    kitchen.manifest("bad", '[[model]]\nname = "resnet18"\ntarget = "zoo_bad.models:mine"\n')


def prints(kitchen: Kitchen):
    kitchen.code("bad", "print('hello from a plugin')")
    return ("list", "resnet18", "--json")


def is_json(kitchen: Kitchen, answer: Answer) -> None:
    assert json.loads(answer.out)
    assert "hello" in answer.err


def reseeds(kitchen: Kitchen) -> Answer:
    """The same run with and without a plugin that seeds everything while it is imported."""
    kitchen.env["ZOO_PLUGINS"] = "tutorials"
    quiet = kitchen.zoo("train", LENET, "--name", "quiet", *DEMO)
    assert quiet.code == 0, quiet.said
    kitchen.code("bad", "import random, numpy, torch\nfor m in (random, numpy.random, torch):"
                        "\n    (getattr(m, 'manual_seed', None) or m.seed)(7)")  # fmt: skip
    return kitchen.zoo("train", LENET, "--name", "loud", *DEMO, alone=True)


def same_weights(kitchen: Kitchen, answer: Answer) -> None:
    from safetensors.torch import load_file

    one, other = (
        load_file(kitchen.here / "runs" / n / "model.safetensors") for n in ("quiet", "loud")
    )
    assert all(one[name].equal(other[name]) for name in one), "the weights differ"


CASES = [
    stays(57, "ImportError at import", code("import no_such_thing_here"), "no_such_thing_here"),
    stays(58, "a syntax error", code("def zoo_models(:"), "SyntaxError"),
    stays(59, "raises at import", code("raise RuntimeError('boom at import')"), "boom at import"),
    stays(60, "sys.exit at import", code("import sys; sys.exit('out of here')"), "out of here"),
    stays(61, "KeyboardInterrupt at import", code("raise KeyboardInterrupt"), "KeyboardInterrupt"),
    stays(62, "an entry point to a missing attribute", gone_entry, "gone"),
    stays(63, "an entry point to a missing module", gone_module, "zoo_nowhere"),
    stays(64, "a hook with a wrong argument",
          code(hook("pass", "zoo_progress").replace("()", "(epoch)")), "epoch"),
    stays(65, "a hook that raises", code(hook("return 1 / 0")), "ZeroDivisionError"),
    probed(66, "os._exit at import", "import os; os._exit(7)", "exit code 7"),
    probed(67, "a segmentation fault at import", "import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
    probed(68, "hangs at import", "import time; time.sleep(600)", "3 s"),
    stays(69, "a misspelt hook", code(hook("return []", "zoo_modles")), "zoo_modles", "zoo_models"),
    stays(70, "a hook that gives garbage", code(hook("return ['odd']")), "not ModelSpec"),
    stays(71, "two distributions of one name", twice, "zoo-worse", "zoo-bad"),
    Case(72, "shadows a built-in name", beside(("info", "resnet18"), shadow), 0,
         ("torchvision", "bad/resnet18"), alone=True),
    stays(73, "a newer plugin api", code("ZOO_API = '>=7'"), "api >=7", "this zoo has 1"),
    Case(74, "prints at import", prints, 0, (), alone=True, after=is_json),
    Case(75, "seeds every generator at import", reseeds, 0, (), after=same_weights),
    stays(76, "replaces torch.load", code("import torch\ntorch.load = lambda *a, **k: {}"),
          "torch.load"),
]  # fmt: skip
