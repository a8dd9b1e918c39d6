"""Why Heroku's builds fail, as public reports show their ends; by push and by the Build API."""

from __future__ import annotations

import pytest

from ci_deploy.layers.providers.heroku.answers import reason

ENDS = {
    "Compiled slug size: 500.1M is too large (max is 500M).": """
-----> Compressing...
 !     Compiled slug size: 500.1M is too large (max is 500M).
 !     See: http://devcenter.heroku.com/articles/slug-size

 !     Push failed""",
    "Compiled slug size: 651.8M is too large (max is 500M).": """
-----> Compressing...

 !     Compiled slug size: 651.8M is too large (max is 500M).

 !     See: http://devcenter.heroku.com/articles/slug-size

 !     Push failed""",
    "Compiled slug size: 447.7MB is too large (max is 300MB).": """
 !   Compiled slug size: 447.7MB is too large (max is 300MB).
 !   See: http://devcenter.heroku.com/articles/slug-size
 !     Push failed: slug archive could not be created
 !     Please try pushing again.
 !     If the problem persists, see http://help.heroku.com/ and provide Request ID cf9b330a.""",
    "slug archive could not be created.": """
-----> Compressing...
 !     Push failed: slug archive could not be created
 !     Please try pushing again.
 !     If the problem persists, see http://help.heroku.com/ and provide Request ID cf9b330a.""",
    "No default language could be detected for this app.": """
-----> Building on the Heroku-24 stack
-----> Determining which buildpack to use for this app
 !     No default language could be detected for this app.
\t\t\tHINT: This occurs when Heroku cannot detect the buildpack to use automatically.
\t\t\tSee https://devcenter.heroku.com/articles/buildpacks

 !     Push failed""",
    "Requested runtime (python-3.8.2) is not available for this stack (heroku-20).": """
-----> Python app detected
 !     The latest version of Python 3 is python-3.6.4 (you are using python-3.8.2).
       Learn More: https://devcenter.heroku.com/articles/python-runtimes
-----> Installing python-3.8.2
 !     Requested runtime (python-3.8.2) is not available for this stack (heroku-20).
 !     Aborting.  More info: https://devcenter.heroku.com/articles/python-support
 !     Push rejected, failed to compile Python app.
 !     Push failed""",
    "Precompiling assets failed.": """
       rake aborted!
 !
 !     Precompiling assets failed.
 !
 !     Push rejected, failed to compile Ruby app.

 !     Push failed""",
    "Invalid Python version in .python-version.": """
-----> Python app detected
 !     Error: Invalid Python version in .python-version.
 !
 !     The Python version specified in your .python-version file isn't
 !     in the correct format.
 !
 !     Push rejected, failed to compile Python app.
 !     Push failed""",
    "failed to compile Node.js app.": """
 !     Warning: something else, long before
-----> Build failed
       We're sorry this build is failing!
       Love,
       Heroku

 !     Push rejected, failed to compile Node.js app.

 !     Push failed""",
    "Failed to detect set buildpack https://codon-buildpacks.s3.amazonaws.com/x.tgz.": """
-----> Failed to detect set buildpack https://codon-buildpacks.s3.amazonaws.com/x.tgz
More info: https://devcenter.heroku.com/articles/buildpacks#detection-failure

 !     Push failed""",
}


@pytest.mark.parametrize("words", ENDS)
def test_reason_is_what_went_wrong_and_not_how_every_failure_ends(words: str) -> None:
    """(faults I1)"""
    lines = ENDS[words].strip("\n").splitlines()
    assert reason(lines) == words
    pushed = [*lines, "Verifying deploy...", "", "!\tPush rejected to hello.", ""]
    git = [
        "Enumerating objects: 8, done.",
        *(f"remote: {line}        " for line in pushed),
        "To https://git.heroku.com/hello.git",
        " ! [remote rejected] main -> main (pre-receive hook declined)",
        "error: failed to push some refs to 'https://git.heroku.com/hello.git'",
    ]
    assert reason(git) == words


def test_without_such_a_line_there_is_no_reason() -> None:
    """git's own words are none of the build's."""
    assert reason([]) == ""
    assert reason([" ! [rejected] main -> main (stale info)", "error: failed to push"]) == ""
