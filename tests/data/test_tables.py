import pytest
from pictures import jpeg, put

from zoo.data.tables import read_table
from zoo.errors import DataError


@pytest.fixture
def table(tmp_path):
    for number in range(6):
        put(tmp_path / f"{number}.jpg", jpeg(number))

    def write(text, name="set.csv"):
        return put(tmp_path / name, text if isinstance(text, bytes) else text.encode())

    return write


def names(tree):
    return {label: [f.key for f in files] for label, files in tree.classes.items()}


def test_paths_and_labels(table):
    trees = read_table(table("path,label\n1.jpg,dog\n0.jpg,cat\n2.jpg,dog\n"))
    assert list(trees) == ["train"]
    assert names(trees["train"]) == {"cat": ["0.jpg"], "dog": ["1.jpg", "2.jpg"]}


@pytest.mark.parametrize(
    "text",
    [
        "label;path;split\ncat;0.jpg;train\ncat;1.jpg;valid\n",
        "\ufefffilename\tclass\tset\n0.jpg\tcat\ttrain\n1.jpg\tcat\tVAL\n",
        'image,target,subset\r\n"0.jpg",cat,training\r\n\r\n1.jpg,cat,validation\r\n',
    ],
)
def test_usual_spellings(table, text):
    trees = read_table(table(text))
    assert names(trees["train"]) == {"cat": ["0.jpg"]}
    assert names(trees["val"]) == {"cat": ["1.jpg"]}


def test_missing_files_are_collected(table):
    tree = read_table(table("path,label\n0.jpg,cat\ngone.jpg,cat\n.,cat\n"))["train"]
    assert sorted(tree.broken) == [".", "gone.jpg"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n0.jpg,cat\n", "no column path and no column label"),
        ("", "its first line is empty"),
        ("path,label\n0.jpg\n", "line 2: 1 columns, 2 needed"),
        ("path,label\n0.jpg,\n", "line 2: the label is empty"),
        ("path,label,split\n0.jpg,cat,holdout\n", "unknown split 'holdout'"),
        ("path,label\n0.jpg,cat\n0.jpg,dog\n", "is both 'cat' and 'dog'"),
        ("path,label\n", "lists no training images"),
        ("path,label\n0.jpg,-100\n", "-100"),
        (b"path,label\n0.jpg,\xff\xfe\n", "cannot read"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(table, text, words):
    with pytest.raises(DataError, match=words):
        read_table(table(text))


def test_groups(table):
    trees = read_table(table("path,label,group\n0.jpg,cat, p1 \n1.jpg,cat,\n2.jpg,dog,P1\n"))
    assert trees["train"].groups == {"0.jpg": "p1", "1.jpg": "", "2.jpg": "P1"}
    assert read_table(table("path,label\n0.jpg,cat\n"))["train"].groups == {}
    with pytest.raises(DataError, match=r"'0\.jpg' is in two groups, 'a' and 'b'"):
        read_table(table("path,label,group\n0.jpg,cat,a\n0.jpg,cat,b\n"))
    with pytest.raises(DataError, match="2 columns, 3 needed"):
        read_table(table("path,label,group\n0.jpg,cat\n"))
