"""What is known to go wrong, and the test that shows it going right here.

The first list are defects of the iso15118 package's SECC, which we build on for its models; the second what real cars
send (captures of 88 sessions of 18 brands) and what other stacks fall over.
"""

SECC = "tests/secc/"
V2G = "tests/secc/v2g/"

DEFECTS = {
    "a refused authorization of -20 charges all the same": [
        V2G + "test_secc_20_refusals.py::test_nothing_follows_an_authorization_that_was_not_accepted",
        SECC + "test_secc_package_evcc_20.py::test_a_refused_vehicle_that_goes_on_regardless_is_ended",
    ],
    "a contract chain that does not hold is accepted": [
        "tests/certs/test_certs_contract.py::test_bad_contract",
        "tests/certs/test_certs_contract.py::test_attackers_rsa_sub_ca_below_the_genuine_root_is_refused",
        "tests/certs/test_certs_contract.py::test_no_root_at_all_is_refused",
        "tests/certs/test_certs_contract.py::test_expired_root_is_refused",
        "tests/certs/test_certs_contract.py::test_names_that_do_not_chain_are_refused",
        "tests/certs/test_certs_contract.py::test_sub_ca_without_path_length_is_accepted",
        "tests/certs/test_certs_contract.py::test_p521_with_sha512_is_accepted",
    ],
    "the eMAID is not compared with the certificate": [
        "tests/certs/test_certs_contract.py::test_bad_contract",
        V2G + "test_secc_refusals.py::test_a_contract_that_does_not_hold",
    ],
    "-20 over TCP and TLS 1.2, contracts without TLS": [
        V2G + "test_secc_20_refusals.py::test_it_is_not_spoken_otherwise",
        SECC + "test_secc_package_evcc_20.py::test_it_is_refused_without_mutual_tls_13",
        V2G + "test_secc_refusals.py::test_payment_that_was_not_offered",
    ],
    "TLS that cannot be had becomes plain TCP": [
        SECC + "test_secc_server.py::test_tls_that_cannot_be_had_is_silence_not_plain_tcp",
    ],
    "-20 DC power without cable check and pre-charge": [
        V2G + "test_secc_20_refusals.py::test_no_start_without_a_cable_check",
        V2G + "test_secc_20_refusals.py::test_no_start_without_a_pre_charge",
    ],
    "a DC_BPT loop is taken for a pre-charge": [
        V2G + "test_secc_20_session.py::test_dc_bidirectional_discharges_within_what_the_station_takes_back",
    ],
    "an open port runs anybody's code; a default password": [
        SECC + "test_secc_field.py::test_no_process_and_no_port_beside_the_secc_s_own",
        SECC + "test_secc_field.py::test_no_password_is_written_down",
    ],
    "a second client is served, and stops the first one's charge": [
        SECC + "test_secc_server.py::test_a_second_vehicle_is_refused_and_the_first_goes_on",
    ],
    "a TCP read is taken for a message": [
        SECC + "test_secc_server.py::test_bytes_one_by_one_and_two_messages_in_one_segment",
        SECC + "test_secc_matrix.py::test_two_messages_in_one_segment",
    ],
    "an address that goes ends the SECC": [SECC + "test_secc_field.py::test_an_address_that_goes_and_comes_back"],
    "the station cannot end a session": [SECC + "test_secc_field.py::test_the_station_ends_a_session_from_its_side"],
    "the search for a port spins": [
        SECC + "test_secc_sockets.py::test_a_port_vehicles_accept_and_the_same_again",
        SECC + "test_secc_sockets.py::test_no_port_left",
    ],
    "garbage or a drop holds the SECC for five seconds": [
        SECC + "test_secc_server.py::test_garbage_ends_its_own_connection_and_the_next_is_served_at_once",
        SECC + "test_secc_matrix.py::test_an_early_disconnect",
    ],
    "SessionStopReq is refused": ["tests/conformance/v2g/test_v2g_states.py::test_leaving"],
    "keys are read from the disk at every SDP request": [
        SECC + "test_secc_server.py::test_the_tls_context_is_asked_for_by_link_and_connection_not_by_request",
    ],
    "logs tell identities, and not why content was refused": [
        V2G + "test_secc_privacy.py::test_a_session_s_log_lines",
        SECC + "test_secc_field.py::test_why_content_was_refused_is_told",
    ],
    "the clock has no zone and may be unset": [
        SECC + "test_secc_field.py::test_contracts_are_judged_by_the_clock_the_station_is_given",
        "tests/certs/test_certs_contract.py::test_validity_is_judged_at_the_time_given",
    ],
    "one vehicle's session leaks into the next": [
        SECC + "test_secc_field.py::test_the_next_vehicle_finds_nothing_of_the_one_before",
        V2G + "test_secc_tolerance.py::test_nobody_else_joins_it",
        V2G + "test_secc_20_session.py::test_a_session_is_joined_only_with_the_certificate_that_was_shown",
    ],
}

FIELD = {
    "minutes to full (BYD Atto 3, MG4, XPENG P7)": [
        V2G + "test_secc_tolerance.py::test_byd_mg_and_xpeng_count_the_remaining_time_in_minutes",
        V2G + "test_secc_dc.py::test_a_byd_tells_its_remaining_time_in_minutes",
        V2G + "test_secc_din.py::test_minutes_to_full_are_nobody_s_business",
    ],
    "more than three phases (Seres)": [
        V2G + "test_secc_tolerance.py::test_seres_plans_with_more_than_three_phases",
    ],
    "an empty session id (Subaru Solterra)": [
        V2G + "test_secc_tolerance.py::test_subaru_sends_an_empty_session_id_throughout",
        V2G + "test_secc_din.py::test_an_empty_session_id_is_taken_for_the_right_one",
    ],
    "a voltage limit without a unit (MG4, DIN)": [
        V2G + "test_secc_din.py::test_values_without_a_unit_are_taken",
    ],
    "DIN wished for first at an AC station (VW)": [
        V2G + "test_secc_tolerance.py::test_vw_wishes_for_din_first_at_an_ac_station",
        V2G + "test_secc_din.py::test_an_ac_station_skips_it_whatever_its_priority",
    ],
    "SessionSetupReq repeated (Opel Ampera-E)": [
        V2G + "test_secc_tolerance.py::test_opel_repeats_session_setup_on_a_live_connection",
        V2G + "test_secc_din.py::test_setup_repeated_on_a_live_connection",
    ],
    "SessionStopReq straight after the start (VW)": [
        V2G + "test_secc_tolerance.py::test_vw_stops_straight_after_power_delivery_start",
    ],
    "a first session id of one octet": [
        V2G + "test_secc_tolerance.py::test_a_first_session_setup_may_carry_any_id",
    ],
    "a stray octet behind a message (Tesla)": [
        V2G + "test_secc_tolerance.py::test_tesla_appends_a_stray_byte",
        V2G + "test_secc_din.py::test_a_message_with_a_stray_octet_behind_it",
    ],
    "strict vehicles check the SECC certificate: DC=CPO, P-256, the one suite": [
        "tests/certs/test_certs_rotation.py::test_csr",
        "tests/certs/test_certs_tls.py::test_vehicle_handshake",
        "tests/certs/test_certs_tls.py::test_other_suites_are_refused",
    ],
    "the voltage a vehicle checks must be the measured one": [
        V2G + "test_secc_dc.py::test_power_only_at_the_battery_s_voltage",
        V2G + "test_secc_dc.py::test_a_dc_session_from_parameters_to_stop",
    ],
    "the offer does not shrink before the start": [
        V2G + "test_secc_tolerance.py::test_the_offer_stands_though_the_limit_sinks_before_the_start",
        V2G + "test_secc_refusals.py::test_a_plan_beyond_the_offer",
    ],
    "the exact electrical value is offered (11.04 kW)": [
        V2G + "test_secc_tolerance.py::test_a_plan_up_to_the_exact_offer_is_accepted",
    ],
    "PreCharge while the cable check runs": [
        V2G + "test_secc_dc.py::test_pre_charge_after_an_ongoing_cable_check",
    ],
    "parameter set 1 always; dynamic control alone": [
        SECC + "test_secc_field.py"
        "::test_a_vehicle_that_always_takes_the_first_parameter_set_and_one_that_knows_dynamic_control_alone",
    ],
    "three DIN frames wedge the package": [
        V2G + "test_secc_din.py::test_three_frames_that_wedge_another_stack",
    ],
    "-20 AC after -20 DC in one process": [
        SECC + "test_secc_field.py::test_iso_15118_20_ac_after_dc_in_the_same_process",
    ],
    "a failed handshake ends the accept loop": [
        SECC + "test_secc_server.py::test_failed_handshakes_are_facts_and_the_next_vehicle_charges",
    ],
    "a malformed contract certificate": [
        "tests/certs/test_certs_contract.py::test_one_changed_byte_is_refused_or_harmless",
        V2G + "test_secc_20_refusals.py::test_a_certificate_that_is_none_has_no_emaid",
    ],
    "the charge loop's own sequence timeout": [
        V2G + "test_secc_20_refusals.py::test_a_vehicle_that_falls_silent_in_the_loop_loses_power_soon",
    ],
    "session ids and challenges of too little chance": [
        SECC + "test_secc_field.py::test_ids_and_challenges_cannot_be_guessed",
    ],
    "MeterInfo of -20 is returned": [
        V2G + "test_secc_20_session.py::test_ac_plug_and_charge_from_plug_to_stop",
    ],
}
