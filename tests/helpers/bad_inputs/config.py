"""47 to 56: names, values, registry files, devices."""

from __future__ import annotations

from bad_inputs.case import DEMO, Answer, Case, Kitchen
from bad_inputs.images import nothing_was_made

RESNET = ("finetune", "resnet18", "--weights", "none")


def typed(*arguments: object):
    return lambda kitchen: arguments


def overlay(text: str | bytes):
    def make(kitchen: Kitchen):
        kitchen.write("registry.toml", text)
        return ("list", "--names", "resnet*")

    return make


ENTRY = 'schema = 1\n[[model]]\nname = "mine"\ntarget = "torchvision.models:resnet18"\n'
MPS = ("--device", "mps")


def four_numbers(kitchen: Kitchen) -> Answer:
    """Each wrong number by itself; the last answer is given if all are alike."""
    wrong = (("--batch-size", "0"), ("--epochs", "-1"), ("--lr", "nan"), ("--lr", "inf"))
    answer = Answer(0, "", "")
    for flag, value in wrong:
        answer = kitchen.zoo(*RESNET, "--data", "demo", flag, value)
        if answer.code != 2 or f"{flag} {value}: expected a" not in answer.error:
            break
    return answer


CASES = [
    Case(47, "a model that nobody has", typed("finetune", "resnt18", *DEMO), 2,
         ("unknown model 'resnt18'", "did you mean resnet18"), after=nothing_was_made),
    Case(48, "--freeze-upto layer9",
         typed(*RESNET, "--allow-random-frozen", "--freeze-upto", "layer9", *DEMO), 2,
         ("layer9", "layer4"), after=nothing_was_made),
    Case(49, "registry.toml that does not parse", overlay("schema = 1\n[[model]\n"), 2,
         ("registry.toml", "line 2")),
    Case(50, "a wrong type in it", overlay(ENTRY + "params = 'many'\n"), 2,
         ("registry.toml", "model 'mine'", "Expected `int`, got `str`", "params")),
    Case(51, "an unknown key in it", overlay(ENTRY + "heads = 'fc'\n"), 2,
         ("model 'mine'", "unknown key 'heads'", "did you mean head")),
    Case(52, "a byte-order mark and CRLF in it",
         overlay(b"\xef\xbb\xbf" + ENTRY.replace("\n", "\r\n").encode()), 0, ("resnet18",)),
    Case(53, "batch 0, epochs -1, lr nan and inf", four_numbers, 2, ("--lr inf", "finite"),
         after=nothing_was_made),
    Case(54, "cuda without a driver", typed(*RESNET, "--data", "demo", "--device", "cuda"), 7,
         ("cuda", "--device auto"), after=nothing_was_made),
    Case(55, "mps on Linux", typed(*RESNET, "--data", "demo", *MPS), 7,
         ("mps", "--device auto"), after=nothing_was_made),
    Case(56, "a device called tpu9", typed(*RESNET, "--data", "demo", "--device", "tpu9"), 2,
         ("'tpu9' is not a device", "auto, cpu, cuda"), after=nothing_was_made),
]  # fmt: skip
