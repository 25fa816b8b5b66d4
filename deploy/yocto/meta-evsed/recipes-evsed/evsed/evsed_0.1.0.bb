SUMMARY = "Software of an EV charging station"
DESCRIPTION = "Control pilot, SLAC, ISO 15118 SECC with TPM keys, OCPP 2.0.1, in one daemon"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# The checkout this layer lies in: `EVSED_SOURCE` in local.conf, by default four folders up.
EVSED_SOURCE ?= "${@os.path.realpath(os.path.join(d.getVar('THISDIR'), '../../../../..'))}"
inherit externalsrc python_setuptools_build_meta python3native systemd useradd
EXTERNALSRC = "${EVSED_SOURCE}"

# Pure Python goes from the lock, by its hashes; what has compiled parts is the target's own, built by its recipe.
EVSED_COMPILED = "cffi cryptography psutil pydantic rpds-py tpm2-pytss websockets"
EVSED_PLACE = "${libdir}/evsed"
EVSED_SITE = "${EVSED_PLACE}/lib/${PYTHON_DIR}/site-packages"

# Their versions are those of the layers that bring them: hold them to the lock before a release.
RDEPENDS:${PN} = " \
    python3-core python3-asyncio python3-sqlite3 python3-json python3-netserver python3-compression \
    python3-cffi python3-cryptography python3-psutil python3-pydantic python3-rpds-py python3-websockets \
    python3-tpm2-pytss libtss2-tcti-device nftables \
"
RRECOMMENDS:${PN} = "rauc"

do_evsed_wheels[network] = "1"
do_evsed_wheels[dirs] = "${WORKDIR}/wheels"
do_evsed_wheels() {
    # Any byte that differs from the lock ends the build here.
    python3 -m pip download -q --no-deps --require-hashes --only-binary :all: --platform any --python-version 3.12 \
        --abi none --implementation py -d ${WORKDIR}/wheels -r ${WORKDIR}/pure.txt
}
python do_evsed_lock() {
    compiled = set(d.getVar("EVSED_COMPILED").split())
    keep, lines = True, []
    with open(os.path.join(d.getVar("EVSED_SOURCE"), "deploy", "requirements.txt")) as lock:
        for line in lock:
            if "==" in line and not line.startswith(" "):
                keep = line.split("==")[0].lower() not in compiled
            if keep:
                lines.append(line)
    with open(os.path.join(d.getVar("WORKDIR"), "pure.txt"), "w") as pure:
        pure.writelines(lines)
}
addtask evsed_lock after do_prepare_recipe_sysroot before do_evsed_wheels
addtask evsed_wheels after do_evsed_lock before do_install
DEPENDS += "python3-pip-native"

do_install:append() {
    install -d ${D}${EVSED_SITE} ${D}${EVSED_PLACE}/bin ${D}${bindir}
    python3 -m pip install -q --no-deps --no-index --find-links ${WORKDIR}/wheels --target ${D}${EVSED_SITE} \
        --no-compile -r ${WORKDIR}/pure.txt
    mv ${D}${PYTHON_SITEPACKAGES_DIR}/* ${D}${EVSED_SITE}/
    find ${D}${EVSED_SITE} -name '*.jar' -delete
    printf 'home = %s\ninclude-system-site-packages = true\n' ${bindir} > ${D}${EVSED_PLACE}/pyvenv.cfg
    ln -sr ${D}${bindir}/python3 ${D}${EVSED_PLACE}/bin/python3
    for command in evsed:firmware.app evse:firmware.cli; do
        name=${command%%:*}
        printf '#!%s/bin/python3 -I\nimport sys\nfrom %s import main\nsys.exit(main())\n' \
            ${EVSED_PLACE} ${command##*:} > ${D}${EVSED_PLACE}/bin/$name
        chmod 0755 ${D}${EVSED_PLACE}/bin/$name
        ln -srf ${D}${EVSED_PLACE}/bin/$name ${D}${bindir}/$name
    done
    # A read-only root neither writes nor checks bytecode.
    python3 -m compileall -q --invalidation-mode unchecked-hash -s ${D} -p / ${D}${EVSED_SITE}

    install -d ${D}${systemd_system_unitdir} ${D}${libdir}/sysusers.d ${D}${libdir}/tmpfiles.d \
        ${D}${sysconfdir}/udev/rules.d ${D}${sysconfdir}/systemd/network ${D}${libdir}/systemd/journald.conf.d \
        ${D}${EVSED_PLACE}/network
    install -m 0644 ${S}/deploy/systemd/*.service ${S}/deploy/systemd/*.path ${S}/deploy/systemd/*.timer \
        ${D}${systemd_system_unitdir}/
    install -m 0644 ${S}/deploy/systemd/evsed.sysusers ${D}${libdir}/sysusers.d/evsed.conf
    install -m 0644 ${S}/deploy/systemd/evsed.tmpfiles ${D}${libdir}/tmpfiles.d/evsed.conf
    install -m 0644 ${S}/deploy/systemd/journald-evsed.conf ${D}${libdir}/systemd/journald.conf.d/evsed.conf
    install -m 0644 ${S}/deploy/network/60-evsed.rules ${D}${sysconfdir}/udev/rules.d/
    install -m 0644 ${S}/deploy/network/60-evse-plc.link ${S}/deploy/network/60-evse-plc.network \
        ${D}${sysconfdir}/systemd/network/
    install -m 0644 ${S}/deploy/network/evsed.nft ${D}${EVSED_PLACE}/network/
}

# The ids are the image's, so that /data keeps its owner over an update.
USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system evse; --system evse-tech; --system evse-service; --system tss"
USERADD_PARAM:${PN} = "--system --gid evse --groups dialout,tss --home-dir /var/lib/evsed --shell /sbin/nologin evse"

SYSTEMD_SERVICE:${PN} = "evsed.service evsed-reboot.path evsed-trial.timer evsed-firewall.service"
SYSTEMD_AUTO_ENABLE = "enable"
FILES:${PN} += "${EVSED_PLACE} ${libdir}/sysusers.d ${libdir}/tmpfiles.d ${libdir}/systemd ${systemd_system_unitdir}"
