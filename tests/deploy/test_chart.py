"""The Helm chart: rendered by Helm, judged against the schemas of Kubernetes, and compared with
what the service needs."""

import json
import re

import pytest
import yaml

from .programs import DEPLOY, run, said

CHART = DEPLOY / "helm" / "clusterpass"
NEEDED = {
    "settings.issuer": "https://auth.example",
    "storeUrlSecret.name": "clusterpass-store",
}
EVERYTHING = {
    **NEEDED,
    "authzPolicy": "[[rules]]\nname = 'public'",
    "settings.trusted_proxies": "10.0.0.0/8",
    "settings.address_attempts": 1_000_000,
    "settings.header_timeout": 2.5,
    "settings.authz_assertion": True,
    "ingress.enabled": True,
    "ingress.host": "auth.example",
    "ingress.className": "nginx",
    "ingress.tlsSecret": "auth-tls",
    "autoscaling.enabled": True,
    "image.digest": "sha256:" + "0" * 64,
}
OLDEST, NEWEST = "1.27.0", "1.37.0"


def nested(flat: dict[str, object]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, value in flat.items():
        *folders, last = name.split(".")
        place = values
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return values


def render(values: dict[str, object], tmp_path, *, kubernetes: str = NEWEST):
    """Return the output of ``helm template``, and its errors."""
    file = tmp_path / "values.json"
    file.write_text(json.dumps(nested(values)))
    return run("helm", "template", "auth", CHART, "-f", file, "--kube-version", kubernetes)


def objects(values: dict[str, object], tmp_path) -> dict[str, dict]:
    done = render(values, tmp_path)
    assert done.returncode == 0, said(done)
    found = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in found}


def pod(values: dict[str, object], tmp_path) -> dict:
    return objects(values, tmp_path)["Deployment/auth-clusterpass"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("values", [NEEDED, EVERYTHING], ids=["needed", "everything"])
@pytest.mark.parametrize("kubernetes", [OLDEST, NEWEST])
def test_kubernetes_knows_every_field(values, kubernetes, tmp_path):
    done = render(values, tmp_path, kubernetes=kubernetes)
    assert done.returncode == 0, said(done)
    for number, text in enumerate(done.stdout.split("\n---\n")):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        judged = run("kubernetes-validate", "--strict", "-k", kubernetes, file)
        assert judged.returncode == 0, said(judged)


def test_a_field_that_kubernetes_does_not_know_is_found(tmp_path):
    text = render(NEEDED, tmp_path).stdout
    deployment = next(part for part in text.split("\n---\n") if "kind: Deployment" in part)
    file = tmp_path / "deployment.yaml"
    file.write_text(deployment.replace("minReadySeconds", "minimumReadySeconds"))
    assert run("kubernetes-validate", "--strict", "-k", NEWEST, file).returncode


def test_helm_lints_it(tmp_path):
    file = tmp_path / "values.json"
    file.write_text(json.dumps(nested(EVERYTHING)))
    done = run("helm", "lint", "--strict", CHART, "-f", file)
    assert done.returncode == 0, said(done)


def test_the_style_of_the_values_is_that_of_the_linter():
    files = (CHART / "values.yaml", CHART / "Chart.yaml")
    done = run("yamllint", "--strict", "-c", DEPLOY / ".yamllint.yaml", *files)
    assert done.returncode == 0, said(done)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"settings.issuer": "https://auth.example"}, "storeUrl"),
        ({"storeUrlSecret.name": "s"}, "issuer"),
        ({**NEEDED, "terminationGracePeriodSeconds": 15}, "terminationGracePeriodSeconds"),
        ({**NEEDED, "settings.store_url": "redis://x"}, "store_url"),
        ({**NEEDED, "storeUrl": "http://x"}, "storeUrl"),
        ({**NEEDED, "drain.serviceSeconds": 5}, "serviceSeconds"),
    ],
)
def test_values_that_cannot_work_are_refused(values, word, tmp_path):
    done = render(values, tmp_path)
    assert done.returncode != 0
    assert word in said(done)


def test_the_settings_that_the_pods_get_are_settings(tmp_path):
    from clusterpass.service.settings.loading import PREFIX
    from clusterpass.service.settings.service import Settings

    rendered = objects(EVERYTHING, tmp_path)
    data = rendered["ConfigMap/auth-clusterpass"]["data"]
    names = {name.removeprefix(PREFIX).lower() for name in data}
    assert names <= set(Settings.model_fields)
    given = {
        "address_attempts": "1000000",
        "header_timeout": "2.5",
        "trusted_proxies": "10.0.0.0/8",
        "authz_assertion": "true",
    }
    assert (
        given.items()
        <= {name.removeprefix(PREFIX).lower(): value for name, value in data.items()}.items()
    )


def test_the_secrets_of_a_release_are_where_it_was_told(tmp_path):
    container = pod(NEEDED, tmp_path)["containers"][0]
    (variable,) = container["env"]
    assert variable["valueFrom"]["secretKeyRef"]["name"] == "clusterpass-store"
    assert not [name for name in objects(NEEDED, tmp_path) if name.startswith("Secret/")]
    url = "rediss+cluster://:secret@store:6379"
    own = objects({"settings.issuer": "https://a.example", "storeUrl": url}, tmp_path)
    assert own.pop("Secret/auth-clusterpass")["stringData"] == {"store-url": url}
    assert "secret@" not in json.dumps(own)


def test_probes_ask_for_calls_that_the_service_has(tmp_path):
    from clusterpass.service.asgi.request_guard import _HEALTH

    container = pod(NEEDED, tmp_path)["containers"][0]
    paths = {
        kind: container[f"{kind}Probe"]["httpGet"]["path"]
        for kind in ("startup", "liveness", "readiness")
    }
    assert set(paths.values()) <= _HEALTH
    # A store that is away restarts no server.
    assert paths["liveness"] != paths["readiness"]


def test_pods_are_given_the_time_that_the_service_takes_to_stop(tmp_path):
    from clusterpass.service.supervisor import GRACE_SECONDS

    spec = pod(NEEDED, tmp_path)
    command = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert spec["terminationGracePeriodSeconds"] > GRACE_SECONDS + int(command[1])


def test_a_deployment_takes_no_capacity_away(tmp_path):
    rendered = objects(NEEDED, tmp_path)
    strategy = rendered["Deployment/auth-clusterpass"]["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    budget = rendered["PodDisruptionBudget/auth-clusterpass"]["spec"]
    selector = rendered["Deployment/auth-clusterpass"]["spec"]["selector"]
    assert budget["selector"] == selector
    assert rendered["Service/auth-clusterpass"]["spec"]["selector"] == selector["matchLabels"]


def test_a_change_of_the_settings_restarts_the_pods(tmp_path):
    def checksum(values: dict[str, object]) -> str:
        deployment = objects(values, tmp_path)["Deployment/auth-clusterpass"]
        return deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert checksum(NEEDED) == checksum(NEEDED)
    assert checksum(NEEDED) != checksum({**NEEDED, "settings.workers": 2})


def test_pods_may_do_little(tmp_path):
    spec = pod(NEEDED, tmp_path)
    context = spec["containers"][0]["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    user = re.search(r"^USER (\d+)", (DEPLOY / "docker" / "Dockerfile").read_text("utf-8"), re.M)
    assert str(spec["securityContext"]["runAsUser"]) == user[1]
    # Kubernetes would set CLUSTERPASS_PORT=tcp://...
    assert spec["enableServiceLinks"] is False
