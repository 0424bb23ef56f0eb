import pytest

from zoo.engine.cgroups import cpu_quota, spare_memory


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own"
    path.write_text(
        "9:name=systemd:/\n4:memory:/box/inner\n2:cpu,cpuacct:/box/inner\n0::/box/inner\n"
    )
    return path


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_no_groups_are_no_limit(tmp_path):
    assert cpu_quota(tmp_path / "none", tmp_path / "nothing") == 0.0
    assert spare_memory(tmp_path / "none", tmp_path / "nothing") is None


def test_a_quota_is_a_share_of_cores(tmp_path, own):
    write(tmp_path / "box" / "inner", cpu__max="150000 100000\n")
    assert cpu_quota(tmp_path, own) == 1.5
    write(tmp_path / "box" / "inner", cpu__max="max 100000\n")
    assert cpu_quota(tmp_path, own) == 0.0
    write(
        tmp_path / "cpu" / "box" / "inner", cpu__cfs_quota_us="300000", cpu__cfs_period_us="100000"
    )
    assert cpu_quota(tmp_path, own) == 3.0
    write(tmp_path / "cpu" / "box" / "inner", cpu__cfs_quota_us="-1")
    assert cpu_quota(tmp_path, own) == 0.0


def test_a_group_around_ours_limits_us_too(tmp_path, own):
    write(tmp_path / "box" / "inner", cpu__max="400000 100000", memory__max="max")
    write(tmp_path / "box", cpu__max="200000 100000", memory__max="900", memory__current="300")
    assert cpu_quota(tmp_path, own) == 2.0
    assert spare_memory(tmp_path, own) == 600


def test_a_group_beside_ours_does_not(tmp_path, own):
    write(tmp_path / "other", cpu__max="100000 100000", memory__max="5", memory__current="4")
    write(tmp_path / "memory" / "box", cpu__max="100000 100000")
    assert cpu_quota(tmp_path, own) == 0.0
    assert spare_memory(tmp_path, own) is None


def test_files_kept_in_memory_are_not_in_the_way(tmp_path, own):
    stat = "anon 200\nfile 700\nactive_file 50\ninactive_file 650\n"
    write(tmp_path / "box", memory__max="1000", memory__current="900", memory__stat=stat)
    assert spare_memory(tmp_path, own) == 750


def test_the_older_groups_say_it_in_other_words(tmp_path, own):
    folder = tmp_path / "memory" / "box" / "inner"
    write(folder, memory__limit_in_bytes="1000", memory__usage_in_bytes="900")
    assert spare_memory(tmp_path, own) == 100
    write(folder, memory__stat="inactive_file 1\ntotal_inactive_file 300\n")
    assert spare_memory(tmp_path, own) == 400
    write(folder, memory__usage_in_bytes="1400")
    assert spare_memory(tmp_path, own) == 0
