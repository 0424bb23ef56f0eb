from zoo.cli.finetune import command


def test_the_main_job_is_on_its_own_help_page(zoo):
    code, out, _ = zoo("finetune", "--help")
    assert code == 0
    assert "zoo finetune resnet18 --freeze-upto layer3 --classes 300" in out
    assert "Fine-tune MODEL on your images." in out
    assert command.name == "finetune"


def test_its_defaults_are_those_of_the_fields(zoo, tmp_path, monkeypatch):
    import json

    monkeypatch.chdir(tmp_path)
    _, out, _ = zoo(
        "finetune", "resnet18", "--data", "demo", "--classes", "3", "--dry-run", "--json"
    )
    assert not [key for key, who in json.loads(out)["origin"].items() if who == "zoo finetune"]
