"""Makes text from outside safe for a log.

`sanitizer.Sanitizer` does so with a program's output as it comes, `sanitizer.clean` with one text:
no control characters, no log commands. `redaction.Redactor` replaces secrets. `excerpt.Excerpt`
keeps the telling lines of a long output.
"""
