"""Where to log in for the images of an app."""

from __future__ import annotations

import json

import pytest

from ci_deploy.layers.providers.docker.login import Login, image_prefix, on_one_line


@pytest.mark.parametrize(
    ("given", "prefix", "host"),
    [
        ("", "", ""),
        ("registry.example.com:5000", "registry.example.com:5000", "registry.example.com:5000"),
        ("registry.gitlab.com/acme/shop", "registry.gitlab.com/acme/shop", "registry.gitlab.com"),
        ("https://ghcr.io/acme/", "ghcr.io/acme", "ghcr.io"),
        ("https://index.docker.io/v1/", "index.docker.io", ""),
        ("docker.io/acme", "docker.io/acme", ""),
        ("registry.hub.docker.com", "registry.hub.docker.com", ""),
    ],
)
def test_registry_is_understood_however_people_write_it(given: str, prefix: str, host: str) -> None:
    """The compose files get what names of images begin with, the login its host."""
    assert image_prefix(given) == prefix
    assert Login(prefix).host == host


def test_key_of_google_goes_to_the_hosts_on_one_line() -> None:
    """With the user `_json_key`; a file of it has line ends, which mean nothing there."""
    key = '{\n  "type": "service_account",\n  "private_key": "-----BEGIN\\nabc\\n"\n}\n'
    assert on_one_line(key).count("\n") == 0
    assert json.loads(on_one_line(key)) == json.loads(key)
    assert on_one_line("two\nlines") == "two\nlines"
