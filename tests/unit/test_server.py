"""Where to connect to by ssh, in every form in which people write it."""

from __future__ import annotations

import pytest

from ci_deploy.net.ssh.server import Server, server


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", Server("example.com", "dokku")),
        ("deploy@example.com", Server("example.com", "deploy")),
        ("example.com:2222", Server("example.com", "dokku", 2222)),
        ("deploy@example.com:2222", Server("example.com", "deploy", 2222)),
        ("ssh://example.com", Server("example.com", "dokku")),
        ("ssh://deploy@example.com:2222/", Server("example.com", "deploy", 2222)),
        ("SSH://example.com", Server("example.com", "dokku")),
        ("192.0.2.7:22", Server("192.0.2.7", "dokku")),
        ("a_host-1.internal", Server("a_host-1.internal", "dokku")),
        ("h", Server("h", "dokku")),
        ("2001:db8::7", Server("2001:db8::7", "dokku")),
        ("[2001:db8::7]", Server("2001:db8::7", "dokku")),
        ("deploy@[2001:db8::7]:2222", Server("2001:db8::7", "deploy", 2222)),
        ("ssh://[::1]:2222", Server("::1", "dokku", 2222)),
        ("::ffff:192.0.2.7", Server("::ffff:192.0.2.7", "dokku")),
        ("_svc.1@h:65535", Server("h", "_svc.1", 65535)),
    ],
)
def test_forms_that_are_taken(text: str, expected: Server) -> None:
    assert server(text, user="dokku") == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://example.com", "the address begins with http://"),
        ("https://example.com:22", "the address begins with https://"),
        ("ssh+git://example.com", "the address begins with ssh+git://"),
        ("example.com/app", "the address contains a path"),
        ("ssh://dokku@example.com/app", "the address contains a path"),
        ("dokku@example.com:app", "the app's name belongs in APP_NAME"),
        ("deploy@example.com:/srv/app", "the directory on a Docker host in DEPLOY_PATH"),
        ("example.com:0", "is not a port"),
        ("example.com:65536", "is not a port"),
        ("example.com:-1", "is not a port"),
        ("[::1]:", "the port is missing"),
        ("example.com:", "the port is missing"),
        ("", "is not `host` or `user@host:port`"),
        ("@example.com:", "the port is missing"),
        ("dokku@", "is not `host` or `user@host:port`"),
        ("-oProxyCommand=id", "is not `host` or `user@host:port`"),
        ("-l@example.com", "is not `host` or `user@host:port`"),
        ("dokku@-host", "is not `host` or `user@host:port`"),
        ("ho st", "is not `host` or `user@host:port`"),
        ("host;id", "is not `host` or `user@host:port`"),
        ("$(id)@host", "is not `host` or `user@host:port`"),
        ("[::1", "is not `host` or `user@host:port`"),
        ("[host", "is not `host` or `user@host:port`"),
        ("hôst", "is not `host` or `user@host:port`"),
        ("host\nother", "is not `host` or `user@host:port`"),
        ("example.com\n", "is not `host` or `user@host:port`"),
    ],
)
def test_forms_that_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        server(text, user="dokku")
    assert reason in str(caught.value)


@pytest.mark.parametrize("text", ["ssh://dokku:hunter2@example.com", "dokku:hunter2@example.com"])
def test_password_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="the address contains a password") as caught:
        server(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("made", "shown", "pinned", "url"),
    [
        (Server("h", "u"), "h", "h", "ssh://u@h:22/app"),
        (Server("h", "u", 2222), "h:2222", "[h]:2222", "ssh://u@h:2222/app"),
        (Server("::1", "u"), "[::1]", "::1", "ssh://u@[::1]:22/app"),
        (Server("::1", "u", 2222), "[::1]:2222", "[::1]:2222", "ssh://u@[::1]:2222/app"),
    ],
)
def test_spellings_of_a_server(made: Server, shown: str, pinned: str, url: str) -> None:
    assert (str(made), made.known_hosts_name, made.url("app")) == (shown, pinned, url)


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("deploy@www.example.com", "ssh deploy@www.example.com"),
        ("deploy@www.example.com:2222", "ssh -p 2222 deploy@www.example.com"),
        ("deploy@[2001:db8::1]:2222", "ssh -p 2222 deploy@2001:db8::1"),
        ("www.example.com", "ssh www.example.com"),
    ],
)
def test_how_a_person_connects(text: str, login: str) -> None:
    """A remedy that is copied has to work with another port and without a name (faults G5)."""
    assert server(text).login == login
