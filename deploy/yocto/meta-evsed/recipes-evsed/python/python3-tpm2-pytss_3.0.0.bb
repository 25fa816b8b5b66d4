SUMMARY = "The TPM's client library for Python"
LICENSE = "BSD-2-Clause"
LIC_FILES_CHKSUM = "file://LICENSE;md5=500b2e742befc3da00684d8a1d5fd9da"

# There is no wheel for ARM: it is built against the target's tpm2-tss.
inherit pypi pkgconfig python_setuptools_build_meta
PYPI_PACKAGE = "tpm2-pytss"
SRC_URI[sha256sum] = "c193cf1908b482f93c4aa464132920fe3a37d4b9d802e267974ff2dfe37d4433"

DEPENDS = "tpm2-tss python3-cffi-native python3-pycparser-native python3-asn1crypto-native \
    python3-cryptography-native python3-setuptools-scm-native python3-pkgconfig-native"
RDEPENDS:${PN} = "python3-cffi python3-cryptography tpm2-tss"
