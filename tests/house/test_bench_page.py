"""The page on speed holds tables that its scripts made, and names what they were made on."""

import re

import pytest
from sources import ROOT

PAGE = ROOT / "docs" / "explanation" / "speed.md"
BLOCK = re.compile(r"<!-- bench: (.+?) -->\n(.*?)<!-- end bench: \1 -->", re.DOTALL)
BLOCKS = dict(BLOCK.findall(PAGE.read_text("utf-8")))


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_the_page_holds_the_blocks_of_its_scripts():
    jobs = {"frozen up to layer3", "head only", "nothing frozen"}
    assert set(BLOCKS) >= {"stages", "small", "startup"} | {f"peers, {job}" for job in jobs}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_is_a_table_with_the_machine_and_its_script(name):
    text = BLOCKS[name]
    assert re.search(r"\d+ cores of .+,\s+Python \d.+, torch \d", text), "no machine is named"
    (script,) = set(re.findall(r"python (tests/bench/\w+\.py)", text))
    assert (ROOT / script).is_file()
    rows = [cells(line) for line in text.splitlines() if line.startswith("|")]
    head, rule, *body = rows
    assert len(body) >= 2
    assert {len(row) for row in rows} == {len(head)}
    assert all(re.fullmatch(r"-+:?", cell) for cell in rule)
    numbers = [cell for row in body for cell in row if re.fullmatch(r"[\d,]+\.?\d*", cell)]
    assert len(numbers) >= 2 * len(body)


def test_no_block_names_a_place_on_somebodys_machine():
    for text in BLOCKS.values():
        assert not re.search(r"/(home|root|tmp|work|Users)/", text)


def test_the_page_names_every_script_that_writes_to_it():
    page = PAGE.read_text("utf-8")
    made = {re.search(r"python (tests/bench/\w+\.py)", text)[1] for text in BLOCKS.values()}
    by_hand = BLOCK.sub("", page)
    assert sorted(name for name in made if name not in by_hand) == []
