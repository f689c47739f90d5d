"""The cases, by what they are about."""

from . import apps, benign, bodies, carriers, errors, files, rotated, surfaces, wire  # noqa: F401
