"""The generated files: what both platforms are offered follows from the settings, and is valid."""

from __future__ import annotations

import json
import re
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

import check_jsonschema
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from ci_deploy import __version__
from ci_deploy.ci.base import REPORT_FILE
from ci_deploy.ci.gitlab import ANNOTATIONS, DOTENV, JUNIT
from ci_deploy.commands import COMMANDS
from ci_deploy.commands.assembly import every_setting
from ci_deploy.errors import Unreachable, exit_codes, input_name
from ci_deploy.layers import discover
from ci_deploy.report.outputs import OUTPUTS
from ci_deploy.settings import Setting
from standins.support import ROOT
from tooling import manifest

# docs.gitlab.com/ci/yaml/#resource_group: "It can't start or end with /."
RESOURCE_GROUP = re.compile(r"[\w${}. -]|[\w${}. -][\w/${}. -]*[\w${}. -]")
SETTINGS = every_setting()
# A job has one environment, and APP_CONFIG is where people put passwords.
NO_GITLAB_INPUTS = {"DEPLOY_ENVIRONMENT", "APP_CONFIG", "REVIEW_CONFIG"}
OFFERED = [each for each in SETTINGS if not each.secret and each.name not in NO_GITLAB_INPUTS]


def provider_of(name: str) -> str:
    """Whose a file is: `dokku/action.yml`, `templates/deploy-dokku.yml`; empty for all."""
    found = re.fullmatch(r"(\w+)/action\.yml|templates/\w+-(\w+)\.yml", name)
    return (found[1] or found[2]) if found else ""


@cache
def offered(name: str) -> list[Setting]:
    """What a template offers."""
    provider = provider_of(name)
    own = {each.name for each in manifest.of_provider(provider)} if provider else set()
    return [each for each in OFFERED if not provider or each.name in own]


@cache
def documents(name: str) -> list[Any]:
    """All documents of a YAML file, read by a real parser."""
    return list(YAML(typ="safe", pure=True).load_all((ROOT / name).read_text(encoding="utf-8")))


def actions() -> list[str]:
    """The small ones, of one provider each."""
    return [f"{each}/action.yml" for each in manifest.PROVIDERS]


def templates() -> list[str]:
    return [str(path.relative_to(ROOT)) for path in sorted((ROOT / "templates").glob("*.yml"))]


def rendered(name: str, **inputs: Any) -> Any:
    """The body of a template as GitLab renders it with these inputs."""
    header, body = documents(name)
    declared = header["spec"]["inputs"]
    assert inputs.keys() <= declared.keys()
    values = {key: inputs.get(key, entry.get("default")) for key, entry in declared.items()}

    def render(node: Any) -> Any:
        if isinstance(node, dict):
            return {render(key): render(value) for key, value in node.items()}
        if isinstance(node, list):
            return [render(each) for each in node]
        if not isinstance(node, str):
            return node
        if whole := re.fullmatch(r"\$\[\[ inputs\.([\w-]+) \]\]", node):
            return values[whole[1]]
        return re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda match: str(values[match[1]]), node)

    return render(body)


def old_gitlab_takes(entry: dict[str, Any], value: Any) -> bool:
    """GitLab's rule for `regex` before 18.1 (its issue 477707): no empty text ever matches."""
    pattern = entry.get("regex")
    return pattern is None or bool(value and re.search(pattern, value))


def check_schema(*arguments: str) -> str:
    """What check-jsonschema says of files; empty when it is content."""
    done = CliRunner().invoke(check_jsonschema.main, arguments)
    return "" if done.exit_code == 0 else f"{done.output}{done.exception or ''}"


def test_check_of_a_schema_says_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("on: push\njobs: 1\n")
    assert "1 is not of type" in check_schema(
        "--builtin-schema", "vendor.github-workflows", str(wrong)
    )


# --- drift ---


def test_generated_files_are_up_to_date() -> None:
    for name, text in manifest.generate().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"run `make manifest` ({name})"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the manifest reads and writes."""
    for name in ("README.md", "pyproject.toml", "action.yml"):
        shutil.copy(ROOT / name, tmp_path / name)
    published = "entrypoint/ci_deploy/commands/published.py"
    (tmp_path / published).parent.mkdir(parents=True)
    shutil.copy(ROOT / published, tmp_path / published)
    for name in ("docs", "templates", *manifest.PROVIDERS):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.setattr(manifest, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["action.yml", "dokku/action.yml", "templates/deploy.yml", "docs/settings.md"],
)
def test_check_finds_drift_and_changes_nothing(
    project: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["manifest", "--check"])
    assert manifest.main() == 0
    path = project / name
    drifted = path.read_text().replace("LOCK_TIMEOUT", "X").replace("lock-timeout", "x")
    path.write_text(drifted)
    assert manifest.main() == 1
    assert name in capsys.readouterr().err
    assert path.read_text() == drifted
    monkeypatch.setattr(sys, "argv", ["manifest"])
    assert manifest.main() == 0
    assert path.read_text() == (ROOT / name).read_text()


def test_file_that_is_not_there_is_drift(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "action.yml").unlink()
    monkeypatch.setattr(sys, "argv", ["manifest", "--check"])
    assert manifest.main() == 1


# --- both platforms ---


def test_every_setting_is_an_input_on_github() -> None:
    inputs = documents("action.yml")[0]["inputs"]
    assert inputs.keys() == {"command", *(each.input for each in SETTINGS)}
    for name, entry in inputs.items():
        assert entry["required"] is False, name
        assert "default" not in entry, name
        assert entry["description"], name


@pytest.mark.parametrize("name", templates())
def test_every_setting_that_is_no_secret_is_an_input_on_gitlab(name: str) -> None:
    inputs = documents(name)[0]["spec"]["inputs"]
    for each in SETTINGS:
        assert (each.input in inputs) is (each in offered(name)), each.name
        if each.secret:
            assert f"inputs.{each.input} " not in (ROOT / name).read_text()


@pytest.mark.parametrize("each", OFFERED, ids=lambda each: each.name)
def test_inputs_default_to_empty_and_accept_it(each: Setting) -> None:
    for name in templates():
        if each not in offered(name):
            continue
        entry = documents(name)[0]["spec"]["inputs"][each.input]
        assert entry["default"] == ""
        assert entry.get("type", "string") == "string"
        assert "" in entry.get("options", [""])
        assert old_gitlab_takes(entry, "")
        assert set(each.choices) <= set(entry.get("options", each.choices))


@pytest.mark.parametrize("each", SETTINGS, ids=lambda each: each.name)
def test_real_default_stands_in_the_description(each: Setting) -> None:
    described = documents("action.yml")[0]["inputs"][each.input]["description"]
    if each.default_help or isinstance(each.default, bool | int):
        default = each.default_help or str(each.default).lower()
        assert described.endswith(f"(default: {default})")


@pytest.mark.parametrize("name", templates())
def test_inputs_reach_us_under_a_name_that_no_variable_overrides(name: str) -> None:
    for job in rendered(name, **{"app-name": "shop"}).values():
        variables = job["variables"]
        for each in offered(name):
            given = "shop" if each.name == "APP_NAME" else ""
            value = variables[f"INPUT_{each.name}"]
            assert value == ({"value": given, "expand": False} if each.literal else given)
        assert not {each.name for each in SETTINGS} & variables.keys()
        assert variables["INPUT_DEPLOY_ENVIRONMENT"] == job["environment"]["name"]


@pytest.mark.parametrize("name", ["action.yml", *actions()])
def test_actions_have_no_expression_in_what_is_only_read(name: str) -> None:
    """GitHub refuses the whole action: "expressions are not allowed here"."""
    assert "${{" not in (ROOT / name).read_text()


def test_every_input_of_a_template_is_used() -> None:
    for name in templates():
        text = (ROOT / name).read_text()
        for each in documents(name)[0]["spec"]["inputs"]:
            assert f"$[[ inputs.{each} ]]" in text, each


def test_commands_are_literal() -> None:
    """GitLab would expand `$VARS` in them, and the shell in the app could not."""
    for each in SETTINGS:
        if each.name.endswith("_COMMAND"):
            assert each.literal, each.name


# --- names ---

REFERENCES = """
- component: $CI_SERVER_FQDN/{gitlab}/deploy@{version}
- component: $CI_SERVER_FQDN/{gitlab}/deploy-dokku@{version}
- uses: {github}@v{version}
- uses: {github}/dokku@v{version}
- uses: actions/checkout@v6
- uses: other/thing@v1.2.3
- image: {images}/dokku:{version}
- image: registry.domain.tld/devops/ci-deploy/full:{version}
- project: devops/ci-deploy
  ref: {version}
- requests 2.34.0, https://github.com/{github}/issues, https://github.com/other/ci-deploy-x
"""


def test_what_people_copy_has_the_names_and_the_version_of_today(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ours become those of a fork, and a fork's follow when it moves on; others stay."""
    project = manifest._project()
    names = {
        "github": "ci-deploy/ci-deploy",
        "gitlab": "ci-deploy/ci-deploy",
        "images": "ghcr.io/ci-deploy/ci-deploy",
        "version": __version__,
    }
    ours = REFERENCES.format(**names)
    assert manifest._with_names(ours, project) == ours
    fork = project | {
        "repository": "https://github.com/acme/deployer",
        "gitlab": "https://git.acme.tld/tools/deployer",
        "images": "quay.io/acme/deployer",
    }
    names = {"github": "acme/deployer", "gitlab": "tools/deployer", "images": fork["images"]}
    for version in ("7.0.0", "7.1.0"):
        monkeypatch.setattr(manifest, "__version__", version)
        ours = manifest._with_names(ours, fork)
        assert ours == REFERENCES.format(**names, version=version)


@pytest.mark.parametrize("digest", ["", "sha256:0123"])
def test_only_a_release_names_a_digest(digest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = dict.fromkeys(("full", *manifest.PROVIDERS), digest)
    project = manifest._project() | ({"digests": digests} if digest else {})
    monkeypatch.setattr(manifest, "_project", lambda: project)
    files = manifest.generate()
    end = f":{__version__}" + (f"@{digest}" if digest else "")
    for name in ("action.yml", *actions()):
        provider = provider_of(name)
        image = "../Dockerfile" if provider else "Dockerfile"
        if digest:
            image = f"docker://{project['images']}/{provider or 'full'}{end}"
        assert f"\n  image: {image}\n" in files[name]
    for name in templates():
        image = f"{project['gitlab-images']}/{provider_of(name) or 'full'}{end}"
        assert f'default: "{image}"\n' in files[name]


@pytest.mark.parametrize("name", [f"{each}/action.yml" for each in manifest.PROVIDERS])
def test_small_action_has_what_its_provider_needs_and_no_other(name: str) -> None:
    action, full = documents(name)[0], documents("action.yml")[0]
    inputs, provider = action["inputs"], provider_of(name)
    assert inputs.keys() < full["inputs"].keys()
    others = set(manifest.PROVIDERS) - {provider}
    triggers = {cls.name: cls.trigger for cls in discover() if cls.name in manifest.PROVIDERS}
    assert input_name(triggers[provider]) in inputs
    foreign = {triggers[each] for each in others} - {each.name for each in needed(provider)}
    assert not {input_name(each) for each in foreign} & inputs.keys()
    assert "deploy-provider" not in inputs
    assert action["runs"]["env"] == {"DEPLOY_PROVIDER": provider}
    assert {**action, "name": "", "inputs": {}, "runs": {}} == {
        **full, "name": "", "inputs": {}, "runs": {}
    }  # fmt: skip


def needed(provider: str) -> list[Setting]:
    """The settings of a provider itself."""
    [cls] = [cls for cls in discover() if cls.name == provider]
    return list(cls.declarations())


# --- the files themselves ---


def test_action_is_valid_and_names_its_entrypoint(tmp_path: Path) -> None:
    action = documents("action.yml")[0]
    assert action["runs"]["using"] == "docker"
    assert action["runs"]["entrypoint"] == "ci-deploy"
    assert "args" not in action["runs"]  # the runner does not quote them
    assert {name: each["description"] for name, each in action["outputs"].items()} == {
        name: text.replace("`", "'") for name, text in OUTPUTS.items()
    }
    assert check_schema("--builtin-schema", "vendor.github-actions", str(ROOT / "action.yml")) == ""


@pytest.mark.parametrize("name", templates())
def test_template_is_valid_with_and_without_inputs(name: str, tmp_path: Path) -> None:
    header = documents(name)[0]
    schema = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    inputs = {"app-name": "shop", "environment": "review/x", "rules": [{"if": "$CI_COMMIT_TAG"}]}
    paths = [str(tmp_path / f"{each}.yml") for each in ("header", "default", "given")]
    all_of_it = (header, rendered(name), rendered(name, **inputs))
    for path, document in zip(paths, all_of_it, strict=True):
        Path(path).write_text(json.dumps(document))
    assert check_schema(*schema, *paths) == ""


@pytest.mark.parametrize("name", templates())
def test_defaults_of_a_template_fit_their_own_rules(name: str) -> None:
    """By the rules of GitLab 17.0 too, which checks them (faults E2)."""
    for each, entry in documents(name)[0]["spec"]["inputs"].items():
        assert entry["default"] in entry.get("options", [entry["default"]]), each
        assert old_gitlab_takes(entry, entry["default"]), each
        assert entry["description"], each


@pytest.mark.parametrize("name", templates())
@pytest.mark.parametrize("app", ["", "shop", "my.example.com"])
@pytest.mark.parametrize("environment", ["production", "review/feature-x"])
def test_resource_group_is_valid_whatever_is_given_as_a_variable(
    name: str, app: str, environment: str
) -> None:
    jobs = rendered(name, **{"app-name": app, "environment": environment})
    for job in jobs.values():
        changes = job["script"] != ["ci-deploy plan || exit $?"]
        assert bool(RESOURCE_GROUP.fullmatch(job.get("resource_group", ""))) is changes


@pytest.mark.parametrize("name", templates())
def test_template_has_no_global_keywords_and_works_with_the_images_shell(name: str) -> None:
    body = documents(name)[1]
    assert not {"default", "stages", "variables", "workflow", "include", "image"} & body.keys()
    for job in rendered(name).values():
        assert job["image"]["entrypoint"] == [""]
        assert re.search(rf":{__version__}(@sha256:\w+)?$", job["image"]["name"])
        assert job["interruptible"] is False


def test_jobs_of_the_templates_keep_their_contract() -> None:
    """What people build on; GitLab's own defaults are other ones (a manual job may fail, say)."""
    deploy = rendered("templates/deploy.yml", **{"app-name": "shop", "when": "manual"})["deploy"]
    start, stop = rendered("templates/review.yml", **{"app-name": "shop"}).values()
    for job in (deploy, start, stop):
        assert job["interruptible"] is False
        assert job["retry"] == {"max": 2, "exit_codes": [Unreachable.exit_code]}
        assert job["dependencies"] == []
        assert "needs" not in job, "an empty one would start it before the tests"
        assert not [line for line in job["script"] if "inputs." in line]
    for job, script in ((deploy, "deploy"), (start, "ci-deploy review")):
        assert job["script"] == [f"{script} || exit $?"]
        assert job["allow_failure"] is False
        assert job["variables"]["GIT_DEPTH"] == "0"
        assert job["environment"]["url"] == "$DEPLOYED_URL"
        assert job["artifacts"]["when"] == "always"
        assert job["artifacts"]["reports"] == {
            "dotenv": DOTENV,
            "annotations": ANNOTATIONS,
            "junit": JUNIT,
        }
        assert job["artifacts"]["paths"] == [REPORT_FILE]
    assert stop["script"] == ["ci-deploy destroy || exit $?"]
    assert "artifacts" not in stop
    assert deploy["when"] == "manual"
    assert deploy["environment"]["deployment_tier"] == "production"
    assert deploy["resource_group"] == "ci-deploy/shop/production"
    assert start["resource_group"] == "ci-deploy/shop/review/$CI_COMMIT_REF_SLUG"


def test_jobs_beside_the_deploy_take_its_place_and_no_other() -> None:
    """A manual job that nobody starts must not block the pipeline, and one that only looks is no
    deployment of the environment."""
    given = {"app-name": "shop", "environment": "staging"}
    jobs = {
        name: rendered(f"templates/{name}.yml", **given)[name]
        for name in ("deploy", "rollback", "plan")
    }
    back, look = jobs["rollback"], jobs["plan"]
    assert back["resource_group"] == jobs["deploy"]["resource_group"]
    assert (back["when"], back["allow_failure"]) == ("manual", True)
    assert back["environment"] == {"name": "staging", "url": "$DEPLOYED_URL"}
    assert back["script"] == ["ci-deploy rollback || exit $?"]
    assert look["environment"] == {"name": "staging", "action": "verify"}
    assert look["rules"] == [{"if": "$CI_PIPELINE_SOURCE == 'merge_request_event'"}]
    [swept] = rendered("templates/sweep.yml", days="30").values()
    assert swept["variables"]["STALE_DAYS"] == "30"
    assert swept["script"] == ['ci-deploy destroy --stale "$STALE_DAYS" --yes || exit $?']
    assert swept["environment"] == {"name": "review/sweep", "action": "verify"}


@pytest.mark.parametrize("name", templates())
def test_template_works_by_every_kind_of_include(name: str) -> None:
    """`component.version` and functions exist for `include: component` alone, or not in 17.0."""
    header, body = documents(name)
    assert header.keys() == {"spec"}
    assert header["spec"].keys() == {"inputs"}
    for entry in header["spec"]["inputs"].values():
        assert entry.keys() <= {"default", "description", "options", "regex", "type"}
    used = set(re.findall(r"\$\[\[(.*?)\]\]", json.dumps(body)))
    assert used <= {f" inputs.{each} " for each in header["spec"]["inputs"]}


def test_stopping_a_review_app_meets_what_gitlab_asks_for() -> None:
    """Same stage, rules and resource group; nothing of the branch, which may be gone."""
    start, stop = rendered("templates/review.yml").values()
    assert start["environment"]["on_stop"] in rendered("templates/review.yml")
    for key in ("stage", "rules", "resource_group"):
        assert start[key] == stop[key]
    assert stop["environment"] == {"name": start["environment"]["name"], "action": "stop"}
    assert (stop["when"], stop["allow_failure"]) == ("manual", True)
    assert stop["variables"]["GIT_STRATEGY"] == "none"


# --- documentation ---


def test_tables_of_the_documentation_are_complete() -> None:
    settings = (ROOT / "docs/settings.md").read_text()
    for each in SETTINGS:
        assert f'| <a id="{each.name.lower()}"></a>`{each.name}` |' in settings
    codes = (ROOT / "docs/exit-codes.md").read_text()
    for code, name, _ in exit_codes():
        assert f"| {code} | {name} |" in codes
    outputs = (ROOT / "docs/outputs.md").read_text()
    for output in OUTPUTS:
        assert f"| `{output}` | `DEPLOYED_{output.upper().replace('-', '_')}` |" in outputs
    readme = (ROOT / "README.md").read_text()
    for command in COMMANDS:
        assert f"| `ci-deploy {command}` |" in readme
