"""The one part that a compiler makes faster: optional, the package is whole without it."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "secc.exi._accelerator",
            sources=["secc/exi/_accelerator.c"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            optional=True,
        )
    ],
)
