"""A stand-in of a Dokku server: real sshd, real git, a forced command written in Python.

Use it through `server`; nothing is imported here, because each remote command imports this.
"""
