"""``zoo push``: one commit with weights, config, card and recipe; nothing is ever overwritten blindly.

The commit names the head that was seen as its parent: if somebody pushed in between, the Hub
refuses (412) and so do we. Content that is there already makes no commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import UsageError, ZooError
from zoo.hub import client
from zoo.hub.address import without_secrets
from zoo.hub.endpoint import shown
from zoo.hub.failures import scrub, translate
from zoo.hub.rights import not_logged_in
from zoo.hub.subject import Subject
from zoo.hub.tokens import token_origin

if TYPE_CHECKING:
    from zoo.hub.pushplan import PushPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a push did.

    Attributes:
        repo: ``org/repo``.
        url: Page of the commit, of the pull request, or of the repository.
        commit: The new commit, or the head if there was nothing to commit.
        changed: Whether a commit or a branch was made.
        pull_request: Page of the pull request, or empty.
        branch: Branch that was made, or empty.
    """

    repo: str
    url: str
    commit: str
    changed: bool
    pull_request: str = ""
    branch: str = ""


def push(
    plan: PushPlan, *, private: bool = False, create_pr: bool = False, title: str = ""
) -> Pushed:
    """Carry out a plan in one commit.

    Args:
        plan: What :func:`plan_push` found.
        private: Make a new repository private; one that exists stays as it is.
        create_pr: Open a pull request instead of committing to the branch.
        title: Title of the commit; empty = the plan's.

    Raises:
        HubError: No token, no right to write, somebody pushed first, or the transfer failed.
        UsageError: A pull request to a repository that does not exist.
    """
    require_token()
    page = f"{shown()}/{plan.repo}"
    if plan.nothing_new and (plan.has_branch or create_pr):
        return Pushed(repo=plan.repo, url=page, commit=plan.parent, changed=False)
    if create_pr and not plan.exists:
        raise UsageError(f"{plan.repo} does not exist", hint="push without --create-pr first")
    subject = Subject(
        repo=plan.repo,
        revision=plan.branch,
        verb="write to",
        ways="push again when it answers: what arrived already is not sent twice",
    )
    try:
        return _commit(plan, private, create_pr, title or plan.title)
    except ZooError:
        raise
    except Exception as error:
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        told = translate(cause, subject)
        if told is None:
            raise
        scrub(error)
        raise told from error


def _commit(plan: PushPlan, private: bool, create_pr: bool, title: str) -> Pushed:
    from huggingface_hub import CommitOperationAdd

    api = client.api()
    parent = plan.parent
    if not plan.exists:
        api.create_repo(plan.repo, private=private, exist_ok=False)
        parent = api.model_info(plan.repo, timeout=client.timeout()).sha or ""  # type: ignore[arg-type]
    new_branch = "" if plan.has_branch or plan.branch == "main" or create_pr else plan.branch
    if new_branch:
        api.create_branch(plan.repo, branch=plan.branch, revision=parent or None)
    operations = [
        CommitOperationAdd(
            path_in_repo=c.path,
            path_or_fileobj=str(c.content) if isinstance(c.content, Path) else c.content,
        )
        for c in plan.changes
        if c.state != "same"
    ]
    if not operations:
        return Pushed(
            repo=plan.repo,
            url=f"{shown()}/{plan.repo}",
            commit=parent,
            changed=bool(new_branch),
            branch=new_branch,
        )
    made = api.create_commit(
        plan.repo,
        operations,
        commit_message=title,
        revision=plan.branch,
        parent_commit=parent or None,
        create_pr=create_pr,
    )
    page = without_secrets(str(made.pr_url or made.commit_url))
    return Pushed(
        repo=plan.repo,
        url=page,
        commit=made.oid,
        changed=True,
        pull_request=page if made.pr_url else "",
        branch=new_branch,
    )


def require_token() -> None:
    """Refuse to start a push without a token.

    Raises:
        HubError: There is none, or the network is off.
    """
    client.require_online()
    if not token_origin():
        raise not_logged_in()
