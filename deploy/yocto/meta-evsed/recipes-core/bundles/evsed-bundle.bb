SUMMARY = "The bundle that updates a board, for RAUC"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10"

inherit bundle

# As system.conf of the board has it; a bundle for another board is refused.
RAUC_BUNDLE_COMPATIBLE ?= "acme-wallbox-22"
# Raise the epoch with a release that closes a hole which must not come back (SECURITY.md).
EVSED_EPOCH ?= "0"
RAUC_BUNDLE_VERSION ?= "${DISTRO_VERSION}+epoch.${EVSED_EPOCH}"
RAUC_BUNDLE_FORMAT = "verity"

RAUC_BUNDLE_SLOTS = "rootfs"
RAUC_SLOT_rootfs ?= "evsed-image"
RAUC_SLOT_rootfs[fstype] = "ext4"

# The manufacturer's key is in an HSM, or at least not in the layer.
RAUC_KEY_FILE ?= ""
RAUC_CERT_FILE ?= ""
