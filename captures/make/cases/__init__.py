"""The cases, by what they are about."""

from . import benign, bodies, errors, files, surfaces, wire  # noqa: F401
