import io
import sys

import pytest

from zoo.cli import progress
from zoo.cli.progress import Live, duration, images_done


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"), (0.4, "0s"), (45, "45s"), (59.6, "1m 00s"), (200, "3m 20s"),
        (3599.6, "1h 00m"), (7500, "2h 05m"),
    ],
)  # fmt: skip
def test_seconds_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_a_pipe_gets_lines_and_no_live_line(capsys):
    with Live() as live:
        live.update("epoch 1", 1, 10)
        live.line("one")
        live.clear()
    captured = capsys.readouterr()
    assert captured.err == "one\n"
    assert captured.out == ""
    assert "rich" not in vars(progress)


def test_programs_that_read_json_get_nothing(capsys):
    with Live(show=False) as live:
        live.line("one")
        live.bytes("download", 1, 2)
    assert capsys.readouterr().err == ""


def test_a_download_in_a_pipe_says_so_now_and_then(capsys, monkeypatch):
    clock = iter([100.0, 100.5, 111.0, 111.0, 115.0, 125.0, 125.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Live() as live:
        live.bytes("resnet18", 0, 46_800_000)  # a short one says nothing
        live.bytes("resnet18", 10_000_000, 46_800_000)
        live.bytes("resnet18", 20_000_000, 46_800_000)
        live.bytes("resnet18", 30_000_000, None)
    assert capsys.readouterr().err.splitlines() == [
        "resnet18: 10.0 MB of 46.8 MB",
        "resnet18: 30.0 MB",
    ]


def test_a_terminal_gets_one_live_line_and_lines_above_it(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with Live() as live:
        live.update("epoch 1", 1, 10, "loss 1.0")
        live.update("epoch 1", 10, 10, "loss 0.5")
        live.line("epoch 1 done [not markup]")
        live.update("epoch 2", 0, None)
        live.bytes("download", 5, 10)
        images_done(live, "embedding", 1200, 2400)
    shown = screen.getvalue()
    assert "1,200 of 2,400 images" in shown
    assert "epoch 1 done [not markup]" in shown
    assert "epoch 2" in shown
    assert "download" in shown


def test_an_error_takes_the_live_line_away(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    live = Live()

    def work():
        with live:
            live.update("epoch 1", 1, 10)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert live._bar is None
