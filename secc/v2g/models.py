"""Building the iso15118 package's models by the names the standard gives their elements."""

from typing import TypeVar

from iso15118.shared.messages import BaseModel

M = TypeVar("M", bound=BaseModel)


def build(model: type[M], **elements: object) -> M:
    """`model` of these elements, checked against it; None leaves an element out.

    The models declare optional elements in a way type checkers take for required, hence this one untyped door.
    """
    return model(**{name: value for name, value in elements.items() if value is not None})
