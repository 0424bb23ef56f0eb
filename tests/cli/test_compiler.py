"""Each in a process of its own, since a module is loaded once; they are forks of one."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
SERVER = """
import json, os, sys
from zoo.cli.compiler import postpone
postpone()
import torch, torchvision
import torch.fx.experimental.symbolic_shapes  # which the compiler takes a second to import

def loaded():
    return "torch._dynamo.eval_frame" in sys.modules

def trained():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.ones(2, 3, 2, 2)).square().sum().backward()
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    return model[1].weight.detach()

for line in sys.stdin:
    if not os.fork():
        os.dup2(1, 2)
        sys.stderr = sys.stdout
        exec(json.loads(line))
        sys.stdout.flush()
        os._exit(0)
    os.wait()
    print("end", flush=True)
"""


@pytest.fixture(scope="module")
def python():
    """Runs code and gives the words that it printed, a trace included."""
    server = subprocess.Popen(
        [sys.executable, "-u", "-c", SERVER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def run(code):
        server.stdin.write(json.dumps(code) + "\n")
        server.stdin.flush()
        said = []
        for line in server.stdout:
            if line == "end\n":
                return said
            said += line.split()
        raise AssertionError(f"the server ended: {said}")

    with server:
        yield run
        server.stdin.close()


def test_building_and_training_load_no_compiler_and_change_no_number(python):
    code = "trained(); torchvision.models.resnet18(); print(loaded(), trained().sum().item().hex())"
    late, number = python(code)
    assert late == "False"
    assert python(f"torch._dynamo.config; {code}") == ["True", number]


@pytest.mark.parametrize(
    "line",
    [
        "import torch._dynamo.config as found",
        "from torch._dynamo import config as found",
        "from torch._dynamo.utils import counters; import torch._dynamo.config as found",
        "import torch._dynamo.exc; found = torch._dynamo.config",
        "found = torch._dynamo.config",
        "import torch._dynamo.testing, importlib; found = importlib.import_module('torch._dynamo.config')",
        "trained(); import torch._dynamo.config as found",
    ],
)
def test_whoever_needs_more_gets_the_one_and_only_compiler(python, line):
    code = (
        f"{line}\n"
        "real = sys.modules['torch._dynamo']\n"
        "assert found is sys.modules['torch._dynamo.config'] is real.config is torch._dynamo.config\n"
        "assert torch._dynamo is real and real.utils is sys.modules['torch._dynamo.utils']\n"
        "assert [type(found.__spec__.loader).__name__, type(real).__name__] "
        "== ['SourceFileLoader', 'module'], found.__spec__\n"
        "print(loaded(), real.__file__.endswith('__init__.py'), len(dir(real)) > 20)"
    )
    assert python(code) == ["True", "True", "True"]


def test_a_module_that_is_not_there_is_not_there(python):
    code = (
        "try: import torch._dynamo.nope\n"
        "except ModuleNotFoundError as error: print(error.name)\n"
        "try: torch._dynamo.nope\n"
        "except AttributeError: print('attribute', loaded())"
    )
    assert python(code) == ["torch._dynamo.nope", "attribute", "True"]


def test_compiling_works_after_training_without(python):
    code = (
        "one = trained()\n"
        "assert not loaded()\n"
        "def step(x):\n"
        "    torch._dynamo.graph_break()\n"
        "    return x * 2 + 1\n"
        "assert torch.compile(lambda x: x * 2 + 1, backend='eager')(torch.ones(1)).item() == 3\n"
        "from torch._dynamo.utils import counters\n"
        "print(counters['stats']['unique_graphs'], torch.equal(one, trained()))\n"
        "assert torch.compile(step, backend='eager')(torch.ones(1)).item() == 3\n"
        "print(sum(counters['graph_break'].values()))"
    )
    assert python(code) == ["1", "True", "1"]


def test_a_function_is_kept_out_of_graphs_and_a_module_is_left_to_the_compiler(python):
    code = (
        "kept = torch.compiler.disable(lambda x: x + 1)\n"
        "also = torch.compiler.disable(recursive=False)\n"
        "print(kept(1), loaded())\n"
        "module = torch.compiler.disable(torch.nn.Linear(2, 2))\n"
        "print(loaded(), isinstance(module, torch.nn.Module), module(torch.ones(1, 2)).shape[1])\n"
        "print(kept(2), also(lambda x: x + 3)(1))\n"
        "assert torch.compile(lambda x: kept(x) * 2, backend='eager')(torch.ones(1)).item() == 4"
    )
    assert python(code) == ["2", "True", "True", "True", "2", "3", "4"]


def test_looking_through_all_modules_loads_nothing(python):
    code = (
        "trained()\n"
        "import inspect\n"
        "assert inspect.getmodule(trained) is sys.modules['__main__']\n"
        "print(sum(hasattr(module, '__file__') for module in list(sys.modules.values())) > 500)\n"
        "print(loaded(), torch._dynamo.__spec__.name, torch._dynamo.utils.__name__)"
    )
    assert python(code) == ["True", "False", "torch._dynamo", "torch._dynamo.utils"]


def test_roi_align_asks_the_compiler_itself(python):
    code = (
        "boxes = [torch.tensor([[0.0, 0.0, 2.0, 2.0]])]\n"
        "print(torchvision.ops.roi_align(torch.ones(1, 1, 4, 4), boxes, 1).item())\n"
        "from torchvision.ops import roi_align\n"
        "asked = sys.modules['torchvision.ops.roi_align'].is_compile_supported('cpu')\n"
        "from torch._dynamo.utils import is_compile_supported\n"
        "print(asked == is_compile_supported('cpu'), loaded())"
    )
    assert python(code) == ["1.0", "True", "True"]


def test_threads_that_need_it_at_once_get_the_same(python):
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "trained()\n"
        "names = ['config', 'exc', 'guards', 'symbolic_convert'] * 2\n"
        "stand_in = torch._dynamo\n"
        "found = list(ThreadPoolExecutor(8).map(lambda n: getattr(stand_in, n), names))\n"
        "print(all(m is sys.modules[m.__name__] for m in found), loaded())"
    )
    assert python(code) == ["True", "True"]


def test_it_is_left_alone_where_it_is_loaded_already(python):
    code = (
        "torch._dynamo.config\n"
        "before = list(sys.meta_path)\n"
        "postpone()\n"
        "print(sys.meta_path == before, type(sys.modules['torch._dynamo']).__name__)"
    )
    assert python(code) == ["True", "module"]
