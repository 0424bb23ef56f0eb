import inspect
import textwrap

import pytest

import zoo
from zoo.core import hookspecs, registry
from zoo.core.hookspecs import KINDS, RUN_HOOKS, CatalogueHooks, RunHooks
from zoo.core.specs import PartSpec

HOOKS = {
    name: function
    for group in (CatalogueHooks, RunHooks)
    for name, function in vars(group).items()
    if name.startswith("zoo_")
}


def test_the_table_of_kinds_is_the_list_of_catalogue_hooks():
    assert [kind.hook for kind in KINDS.values()] == [
        h for h in vars(CatalogueHooks) if h[0] != "_"
    ]
    assert {h for h in vars(RunHooks) if h[0] != "_"} == set(RUN_HOOKS)


def test_every_kind_has_its_own_record_and_shelf():
    assert len({kind.spec for kind in KINDS.values()}) == len(KINDS)
    assert len({kind.shelf for kind in KINDS.values()}) == len(KINDS)
    for name, kind in KINDS.items():
        assert issubclass(kind.spec, PartSpec)
        assert kind.hook == f"zoo_{kind.shelf}"
        assert kind.spec.__name__.lower().startswith(name)


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_marked_and_shows_an_example(name):
    function = HOOKS[name]
    assert function.zoo_spec
    doc = inspect.getdoc(function)
    assert "Example::" in doc
    assert "@hookimpl" in doc


@pytest.mark.parametrize("name", HOOKS)
def test_the_example_of_a_hook_is_a_hook(name):
    """The example compiles, and takes only arguments that the hook has."""
    doc = inspect.getdoc(HOOKS[name])
    code = textwrap.dedent(doc.partition("Example::")[2])
    scope = {"hookimpl": hookspecs.hookimpl}
    exec(compile(code, name, "exec"), scope)
    given = set(inspect.signature(scope[name]).parameters)
    assert given <= set(inspect.signature(HOOKS[name]).parameters)
    assert scope[name].zoo_impl


def test_the_examples_of_run_hooks_work_in_a_run(site, photos, tmp_path, monkeypatch):
    code = "from zoo.plugin import hookimpl\n"
    for name in RUN_HOOKS:
        code += textwrap.dedent(inspect.getdoc(HOOKS[name]).partition("Example::")[2])
    site.code("all", code)
    monkeypatch.setenv("ZOO_PLUGINS", "all,tutorials")
    registry.load.cache_clear()
    result = zoo.train(
        "tutorials/lenet",
        data=photos,
        epochs=1,
        workers=0,
        threads=1,
        device="cpu",
        strict=True,
        out=tmp_path / "runs",
    )
    told = {name: (result.dir / f"{name}.txt").read_text() for name in ("numbers", "newest", "end")}
    assert told["numbers"].startswith("0 ")
    assert "'val/top1': " in told["numbers"]
    assert told["newest"].endswith(".safetensors")
    assert told["end"] == str(result.metrics)
    assert (result.dir / "host.txt").read_text() == "here"


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_a_catalogue_hook_gives_that_kind(kind):
    doc = inspect.getdoc(HOOKS[KINDS[kind].hook])
    scope = {"hookimpl": hookspecs.hookimpl, **vars(hookspecs)}
    exec(textwrap.dedent(doc.partition("Example::")[2]), scope)
    (spec,) = scope[KINDS[kind].hook]()
    assert type(spec) is KINDS[kind].spec


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_catalogue_hook_that_nobody_implements_gives_nothing(kind):
    assert getattr(CatalogueHooks(), kind.hook)() == ()
