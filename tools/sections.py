"""Documents of several sections, each written by a command of its own."""

import os

BREAK = "\n## "
OF_A_MACHINE = "calibrated machine"  # how the headings end that only a calibrated machine can write


def read(path):
    """The text before the first section, and the sections by heading."""
    if not os.path.exists(path):
        return "", {}
    with open(path, encoding="utf-8") as stream:
        head, *rest = stream.read().split(BREAK)
    return head, dict(section.split("\n", 1) for section in rest)


def write(path, head, sections):
    texts = (f"{heading}\n\n{body.strip()}\n" for heading, body in sections.items())
    text = BREAK.join([head.rstrip("\n") + "\n", *texts])
    with open(path + ".part", "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(path + ".part", path)


def replace(path, heading, body):
    """The section appears where it stood, or at the end."""
    head, sections = read(path)
    write(path, head, {**sections, heading: body})
