SUMMARY = "The root file system of a station: read-only, with the daemon and RAUC"
LICENSE = "Apache-2.0"

inherit core-image

IMAGE_FEATURES += "read-only-rootfs"
IMAGE_INSTALL += "evsed rauc tpm2-tools chrony nftables kernel-modules"
IMAGE_FSTYPES = "ext4"
