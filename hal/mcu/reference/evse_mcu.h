/* The MCU's end of the EVSE-MCU link, version 1, and the rules of safety that go with it: docs/mcu-link.md.
 *
 * Portable C99: no heap, no clock, no I/O, no globals. The firmware owns the UART, the pins and a millisecond counter
 * that may wrap. Per EVSE one evse_mcu; call from one context:
 *
 *     evse_mcu_init(&mcu, &board, millis());
 *     for (;;) {
 *         evse_mcu_receive(&mcu, bytes, count, millis());
 *         evse_mcu_step(&mcu, &inputs, &outputs, millis());      at least every 5 ms
 *         drive(outputs.coil, outputs.lock, outputs.cp_mode, outputs.duty_centi);
 *         send(buffer, evse_mcu_transmit(&mcu, buffer, sizeof buffer));
 *     }
 */
#ifndef EVSE_MCU_H
#define EVSE_MCU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { EVSE_CP_A, EVSE_CP_B, EVSE_CP_C, EVSE_CP_D, EVSE_CP_E, EVSE_CP_F };
enum { EVSE_MODE_X1, EVSE_MODE_X2, EVSE_MODE_E, EVSE_MODE_F };
enum { EVSE_CONTACTOR_OPEN, EVSE_CONTACTOR_CLOSED, EVSE_CONTACTOR_WELDED, EVSE_CONTACTOR_STUCK_OPEN };

#define EVSE_MCU_FRAME_MAX 211u /* COBS of a frame with 200 bytes of payload, and its delimiter */
#define EVSE_MCU_TX_SIZE 1024u

typedef struct {
    uint8_t evse;           /* this EVSE's number on the board, from 1 */
    uint8_t phases;
    uint8_t flags;          /* bit 0 lock, bit 1 ventilation, bit 2 token reader, bit 3 RCD self-test */
    uint8_t pp_ampacity_a;
    uint16_t max_current_da;
    uint16_t min_current_da;
    uint16_t voltage_dv;
    uint16_t telemetry_ms;
    uint32_t boot_id;       /* another random number at each start */
    char model[16];
    char firmware[16];
} evse_mcu_board;

typedef struct {
    uint64_t energy_mwh;
    int32_t power_dw;
    uint32_t faults;        /* bits the board's own sensors raise */
    uint16_t current_ca[3];
    uint16_t voltage_dv[3];
    uint16_t sample_age_ms;
    int16_t cp_high_cv;
    int16_t cp_low_cv;
    int16_t board_temp_dc;
    int16_t plug_temp_dc;
    uint8_t cp;             /* unfiltered; anything while E or F is on the pilot */
    uint8_t contactor_closed;
    uint8_t locked;
} evse_mcu_inputs;

typedef struct {
    uint32_t faults;
    uint16_t duty_centi;    /* 0.01 %, with EVSE_MODE_X2 */
    uint8_t cp_mode;
    uint8_t coil;
    uint8_t lock;
    uint8_t allowed;        /* the last CONTROL allows power; for a debugger */
    uint8_t tripped;
    uint8_t reboot;         /* the host asked for a restart */
    uint8_t rcd_test;       /* drive the residual current sensor's test input */
} evse_mcu_outputs;

typedef struct {
    bool runs;
    uint32_t since_ms;
} evse_mcu_timer;

typedef struct {
    evse_mcu_board board;
    /* line */
    uint8_t rx[EVSE_MCU_FRAME_MAX];
    size_t rx_count;
    bool rx_overrun;
    uint8_t tx[EVSE_MCU_TX_SIZE];
    size_t tx_count;
    uint16_t seq;
    uint32_t frames_dropped;
    /* what the host wants */
    evse_mcu_timer control;
    uint32_t timeout_ms;
    bool allow, lock_wanted, armed, tripped, reboot;
    uint8_t mode_wanted;
    uint16_t duty_wanted, limit_da;
    /* what is */
    uint32_t booted_ms;
    uint8_t cp, cp_raw, cp_mode, contactor;
    uint16_t duty_centi, unplug_count, contactor_ms;
    uint32_t latched, faults;
    bool coil, lock, feedback, a_counted;
    uint32_t coil_ms;
    evse_mcu_timer cp_changed, in_a, in_c1, over_current;
    evse_mcu_timer rcd_test;
    bool rcd_seen;
    uint16_t rcd_seq;
    /* what was told */
    uint8_t stated[20];
    uint32_t stated_ms, telemetry_ms;
    bool ever_stated;
    uint8_t token[3 + 10];
    uint8_t token_number, token_size;
    evse_mcu_timer token_age;
} evse_mcu;

void evse_mcu_init(evse_mcu *mcu, const evse_mcu_board *board, uint32_t now_ms);
void evse_mcu_receive(evse_mcu *mcu, const uint8_t *data, size_t count, uint32_t now_ms);

/* A card at the reader: kind 1 ISO14443, 2 ISO15693; at most 10 bytes of UID. */
void evse_mcu_present(evse_mcu *mcu, uint8_t kind, const uint8_t *uid, uint8_t length, uint32_t now_ms);

void evse_mcu_step(evse_mcu *mcu, const evse_mcu_inputs *in, evse_mcu_outputs *out, uint32_t now_ms);

/* Takes what is to be sent, at most size bytes; returns how many. */
size_t evse_mcu_transmit(evse_mcu *mcu, uint8_t *out, size_t size);

size_t evse_mcu_size(void);

#ifdef __cplusplus
}
#endif
#endif
