"""What a site has set for pip reaches uv, on the host and inside a build; what would change an image does not."""

from pathlib import Path

import pytest

from mira_cli.images import site_settings


@pytest.mark.parametrize("build", [site_settings.for_venv, site_settings.for_apptainer])
@pytest.mark.parametrize(
    ("pip", "uv"),
    [
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
        ("PIP_DEFAULT_TIMEOUT", "UV_HTTP_TIMEOUT"),
        ("PIP_TRUSTED_HOST", "UV_INSECURE_HOST"),
    ],
)
def test_pip_settings_reach_uv(build, pip: str, uv: str) -> None:
    assert build({pip: "https://mirror.example/simple"}).env[uv] == "https://mirror.example/simple"
    assert build({pip: "https://a.example", uv: "https://b.example"}).env[uv] == "https://b.example"


def test_the_older_name_of_a_setting_counts_as_set() -> None:
    env = site_settings.for_venv({"PIP_INDEX_URL": "https://a.example", "UV_INDEX_URL": "https://b.example"}).env
    assert env == {"UV_INDEX_URL": "https://b.example"}


@pytest.mark.parametrize("build", [site_settings.for_venv, site_settings.for_apptainer])
def test_a_wheelhouse_for_other_work_is_not_taken(build, tmp_path: Path) -> None:
    assert build({"PIP_FIND_LINKS": str(tmp_path)}) == site_settings.BuildSite({})
    assert "UV_FIND_LINKS" in build({"UV_FIND_LINKS": str(tmp_path)}).env


def test_what_would_change_an_image_is_not_passed() -> None:
    host = {
        "UV_TORCH_BACKEND": "cpu",
        "UV_OVERRIDE": "x",
        "PIP_CONSTRAINT": "x",
        "UV_PYTHON": "3.9",
        "PYTHONPATH": "/x",
    }
    assert site_settings.for_venv(host).env == {}
    assert site_settings.for_apptainer(host).env == {}


def test_extra_indexes_are_searched_as_pip_does() -> None:
    assert site_settings.for_venv({"PIP_EXTRA_INDEX_URL": "https://a"}).env["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert "UV_INDEX_STRATEGY" not in site_settings.for_venv({"UV_INDEX": "https://a"}).env
    chosen = {"PIP_EXTRA_INDEX_URL": "https://a", "UV_INDEX_STRATEGY": "first-index"}
    assert site_settings.for_venv(chosen).env["UV_INDEX_STRATEGY"] == "first-index"


def test_proxies_and_credentials_pass() -> None:
    host = {"https_proxy": "http://p:1", "NO_PROXY": "x", "UV_INDEX_SITE_PASSWORD": "s", "HOME": "/h", "http_proxy": ""}
    assert site_settings.for_venv(host).env == {
        "https_proxy": "http://p:1",
        "NO_PROXY": "x",
        "UV_INDEX_SITE_PASSWORD": "s",
    }


@pytest.mark.parametrize("name", ["PIP_CERT", "SSL_CERT_FILE"])
def test_certificates_are_bound_into_a_build(name: str) -> None:
    assert site_settings.for_venv({name: "/site/ca.pem"}).env == {"SSL_CERT_FILE": "/site/ca.pem"}
    inside = site_settings.for_apptainer({name: "/site/ca.pem", "SSL_CERT_DIR": "/site"})
    assert inside.env == {"SSL_CERT_FILE": site_settings.IMAGE_CA}
    assert inside.binds == {"/site/ca.pem": site_settings.IMAGE_CA}


def test_folders_of_this_machine_are_bound_into_a_build(tmp_path: Path) -> None:
    wheels, index = tmp_path / "wheels", tmp_path / "index"
    wheels.mkdir()
    index.mkdir()
    inside = site_settings.for_apptainer(
        {"UV_FIND_LINKS": f"{wheels},https://w.example", "UV_INDEX": f"mine=file://{index} https://i.example/simple"}
    )
    assert inside.env["UV_INDEX"] == "mine=file:///mira/site/0 https://i.example/simple"
    assert inside.env["UV_FIND_LINKS"] == "/mira/site/1,https://w.example"
    assert inside.binds == {str(index): "/mira/site/0", str(wheels): "/mira/site/1"}


def test_a_url_with_an_equals_sign_is_left_alone() -> None:
    url = "https://user:a=b@mirror.example/simple?x=1"
    assert site_settings.for_apptainer({"UV_DEFAULT_INDEX": url}).env["UV_DEFAULT_INDEX"] == url
