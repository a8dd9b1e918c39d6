"""Why a TLS connection was not made: a cut is no certificate, and a certificate has a reason."""

from __future__ import annotations

import ssl

import pytest

from ci_deploy.errors import DeployFailed
from ci_deploy.layers.applications.healthcheck import _remedy
from ci_deploy.layers.third_parties.sentry.errors import failure
from ci_deploy.net import smtp, tls
from ci_deploy.process.program import Result

NO_TLS = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")
CUT = ssl.SSLEOFError(8, "EOF occurred in violation of protocol (_ssl.c:1006)")
OLD = ssl.SSLError(1, "[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CUT, "the connection was cut off in the TLS handshake"),
        (NO_TLS, "it does not speak TLS"),
        (OLD, "it supports no safe TLS version (1.2 or newer)"),
        (ssl.SSLError(1, "[SSL] internal error"), "the TLS handshake failed"),
        (ValueError("a stranger"), "the TLS handshake failed"),
    ],
)
def test_reason_is_the_one_of_openssl(error: Exception, words: str) -> None:
    """All of them were a certificate that is not trusted (faults J2)."""
    assert tls.reason(error) == words


def test_mail_server_that_is_cut_off_is_not_told_to_use_another_scheme() -> None:
    """(faults J2)"""
    assert smtp._reason(CUT) == tls.reason(CUT)
    assert "smtps:// for TLS" in smtp._reason(NO_TLS)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("SSL certificate OpenSSL verify result: certificate has expired (10)",
         "certificate has expired"),
        ("SSL certificate problem: unable to get local issuer certificate",
         "unable to get local issuer certificate"),
        ("SSL: no alternative certificate subject name matches target ipv4 address '192.0.2.7'",
         "no alternative certificate subject name matches target ipv4 address '192.0.2.7'"),
    ],
)  # fmt: skip
def test_certificate_that_sentry_cli_does_not_trust_is_told_with_the_reason(
    said: str, reason: str
) -> None:
    """It was "SSL peer certificate or SSH remote key was not OK" (faults J2)."""
    text = f"error: API request failed\n\n    1: [60] SSL peer certificate or so ({said})\n"
    error = failure(Result(("sentry-cli",), 1, err=text.encode()), "create the release")
    assert isinstance(error, DeployFailed)
    assert str(error) == (
        f"cannot create the release: Sentry's TLS certificate is not trusted ({reason}). For a "
        "private certificate authority, set CA_BUNDLE."
    )


def test_certificate_without_a_reason_is_told_without_one() -> None:
    """getsentry/sentry-cli#666 has nothing behind it (faults J2)."""
    said = b"error: API request failed\n  caused by: [60] SSL peer certificate or so\n"
    error = failure(Result(("sentry-cli",), 1, err=said), "create the release")
    told = "cannot create the release: Sentry's TLS certificate is not trusted. For a private "
    assert str(error).startswith(told)


def test_authorities_of_ones_own_do_not_help_an_expired_certificate() -> None:
    """(faults J2)"""
    assert "CA_BUNDLE" not in _remedy(
        "nothing (not trusted (certificate has expired))", "HEALTHCHECK_TIMEOUT"
    )
    assert "CA_BUNDLE" in _remedy(
        "nothing (not trusted (self-signed certificate))", "HEALTHCHECK_TIMEOUT"
    )
