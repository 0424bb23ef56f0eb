"""``zoo push``: publish a run on the Hub."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.output import Out, size
from zoo.core import registry

if TYPE_CHECKING:
    from zoo.hub.publish import Pushed
    from zoo.hub.pushplan import PushPlan


@click.command("push")
@click.argument("run")
@click.argument("repo", metavar="ORG/REPO")
@click.option(
    "--licence", "--license", metavar="ID", help="Licence of the weights: mit, apache-2.0."
)
@click.option("--private", is_flag=True, help="Make a new repository private.")
@click.option("--revision", metavar="BRANCH", help="Push to this branch; made if it is not there.")
@click.option("--create-pr", is_flag=True, help="Open a pull request instead of committing.")
@click.option("--message", metavar="TEXT", help="Title of the commit.")
@click.option("--dry-run", is_flag=True, help="Show the files and the card; write nothing.")
@click.option("--dir", "runs", default="runs", metavar="FOLDER", help="Where runs lie.  [runs]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    run: str,
    repo: str,
    licence: str | None,
    private: bool,
    revision: str | None,
    create_pr: bool,
    message: str | None,
    dry_run: bool,
    runs: str,
    as_json: bool,
) -> None:
    """Publish RUN (a run's name or folder, or a checkpoint file) as ORG/REPO, in one commit.

    The token comes from HF_TOKEN or `hf auth login`. What is there already makes no commit, and
    what somebody else pushed meanwhile is never overwritten.
    """
    from zoo.hub import publish, pushplan

    out = Out("json" if as_json else "table")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    source = pushplan.find_source(run, runs)
    if not dry_run:
        publish.require_token()
    with tempfile.TemporaryDirectory(prefix="zoo-push-") as staging:
        plan = pushplan.plan_push(
            source,
            repo,
            registry.load(),
            licence=licence or "",
            branch=revision or "",
            staging=Path(staging),
            note=out.note,
        )
        if private and plan.exists:
            out.note(f"note: {plan.repo} exists; --private does not change who may see it")
        if dry_run:
            _show_plan(out, plan)
            return
        done = publish.push(plan, private=private, create_pr=create_pr, title=message or "")
    _show(out, plan, done)


def _show_plan(out: Out, plan: PushPlan) -> None:
    rows = [(change.state, change.path, size(change.size)) for change in plan.changes]
    if out.form == "json":
        keys = ("state", "path", "bytes")
        files = [dict(zip(keys, (c.state, c.path, c.size), strict=True)) for c in plan.changes]
        out.json({
            "repo": plan.repo, "branch": plan.branch, "exists": plan.exists,
            "parent": plan.parent, "files": files, "licence": plan.licence, "card": plan.card,
            "notes": plan.notes,
        })  # fmt: skip
        return
    there = f"at {plan.parent[:12]}" if plan.exists else "new repository"
    out.line(f"{plan.repo} ({there}), branch {plan.branch}, licence {plan.licence}")
    out.table(("state", "file", "size"), rows, right=("size",))
    for said in plan.notes:
        out.note(f"note: {said}")
    out.line()
    out.line(plan.card)


def _show(out: Out, plan: PushPlan, done: Pushed) -> None:
    if out.form == "json":
        out.json(asdict(done))
        return
    for said in plan.notes:
        out.note(f"note: {said}")
    if not done.changed:
        out.line(f"{done.repo} has all of this already (commit {done.commit[:12]}): nothing pushed")
        return
    if done.branch:
        out.line(f"made branch {done.branch} of {done.repo}")
    changed = [c for c in plan.changes if c.state != "same"]
    if not changed:
        out.line(f"  it has all of this already (commit {done.commit[:12]})")
        return
    out.line(f"pushed {len(changed)} files to {done.repo}, commit {done.commit[:12]}")
    out.line(f"  {done.url}")
    if not done.pull_request:
        out.line(f"  use it: zoo pull hub:{done.repo}@{done.commit}")
