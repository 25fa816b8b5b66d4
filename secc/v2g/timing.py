"""The SECC's timers of ISO 15118-2 tables 109 and 110, in seconds, and the paces we chose within them."""

# From D-LINK_READY to SessionSetupRes. V2G_SECC_CommunicationSetup_Performance_Time is 18; the vehicle waits 20.
COMMUNICATION_SETUP_TIMEOUT_S = 20.0

# V2G_SECC_Sequence_Timeout: from one response to the next request.
SEQUENCE_TIMEOUT_S = 60.0

# V2G_SECC_Ongoing_Performance_Time: the vehicle leaves a loop of EVSEProcessing Ongoing after 60.
ONGOING_PERFORMANCE_TIME_S = 55.0

# The contactor must have closed this long after PowerDeliveryReq; PowerDeliveryRes itself is due within 4.5.
CONTACTOR_CLOSE_TIMEOUT_S = 3.0  # unverified: ISO 15118-2 table 109

# V2G_SECC_CableCheck_Performance_Time; the vehicle waits 40.
CABLE_CHECK_PERFORMANCE_TIME_S = 38.0

# V2G_SECC_Msg_Performance_Time of CertificateInstallationRes and CertificateUpdateRes; the vehicle waits 5.
CERTIFICATE_PERFORMANCE_TIME_S = 4.5

# AuthorizationRes Ongoing may take 1.5. A vehicle repeats its request as soon as it is answered, so a short wait spares
# both ends hundreds of messages; a decision is answered at once.
ONGOING_PACE_S = 0.25

# A vehicle closes the connection after SessionStopRes or a FAILED response; after this we do [V2G2-1633].
CLOSE_TIMEOUT_S = 5.0

# How often a MeteringReceiptReq is asked for.
RECEIPT_INTERVAL_S = 30.0

# How often a vehicle is told again to renegotiate; some never do.
RENEGOTIATION_INTERVAL_S = 60.0

# How often an answer that waits for the station is tried again when nobody says that the station changed.
RECHECK_S = 0.05
