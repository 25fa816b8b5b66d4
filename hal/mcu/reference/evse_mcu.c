#include "evse_mcu.h"

#include <string.h>

enum { HELLO = 0x01, CONTROL = 0x02, COMMAND = 0x03, HELLO_ACK = 0x81, STATE = 0x82, TELEMETRY = 0x83, ACK = 0x84, LOG = 0x85, TOKEN = 0x86 };
enum { ALLOW_POWER = 1, LOCK = 2 };
enum { POWER_PERMITTED = 1, ARMED = 2, LOCKED = 4, TRIPPED = 8 };
enum { RESET_FAULT = 1, RCD_TEST = 2, REBOOT = 4 };
enum { DONE = 0, UNSUPPORTED = 1, REFUSED = 2, FAILED = 3 };
enum { HAS_RCD_TEST = 8 };

#define VERSION 0x10u
#define HEADER 5u
#define CRC 4u
#define CONTROL_SIZE 12u
#define STATE_SIZE 25u
#define LEVELS_SIZE 17u /* STATE up to unplug_count: what is told at once when it changes */

#define MAX_TIMEOUT_MS 1000u
#define CP_FILTER_MS 3u
#define UNPLUG_MS 100u
#define WELD_MS 150u
#define STUCK_MS 500u
#define C1_LIMIT_MS 6000u
#define OVER_CURRENT_MS 6000u
#define STATE_PERIOD_MS 100u
#define TOKEN_LIFE_MS 5000u
#define RCD_TRIP_MS 300u
#define RCD_RELEASE_MS 2000u

#define BIT(n) ((uint32_t)1 << (n))
#define FAULT_OVER_CURRENT BIT(3)
#define FAULT_CONTACTOR BIT(10)
#define FAULT_RESIDUAL_CURRENT BIT(16)
#define WARNINGS (BIT(2) | BIT(11) | BIT(18))

/* --- little helpers --- */

static uint8_t *put16(uint8_t *to, uint16_t value) {
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
    return to + 2;
}

static uint8_t *put32(uint8_t *to, uint32_t value) {
    return put16(put16(to, (uint16_t)value), (uint16_t)(value >> 16));
}

static uint16_t get16(const uint8_t *from) { return (uint16_t)(from[0] | from[1] << 8); }

static uint32_t get32(const uint8_t *from) { return get16(from) | (uint32_t)get16(from + 2) << 16; }

static void run(evse_mcu_timer *timer, bool holds, uint32_t now_ms) {
    if (holds && !timer->runs) {
        timer->since_ms = now_ms;
    }
    timer->runs = holds;
}

/* Differences of a wrapping counter are right for 49 days; every timer here is far shorter or is restarted. */
static bool due(const evse_mcu_timer *timer, uint32_t limit_ms, uint32_t now_ms) {
    return timer->runs && now_ms - timer->since_ms >= limit_ms;
}

static uint32_t crc32(const uint8_t *data, size_t count) {
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < count; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1u ? 0xEDB88320u : 0u);
        }
    }
    return ~crc;
}

/* --- sending --- */

static void send(evse_mcu *mcu, uint8_t type, const uint8_t *payload, size_t count) {
    uint8_t raw[HEADER + 64u + CRC];
    uint8_t *end = raw;
    *end++ = VERSION;
    *end++ = type;
    end = put16(end, ++mcu->seq);
    *end++ = mcu->board.evse;
    memcpy(end, payload, count);
    end = put32(end + count, crc32(raw, HEADER + count));
    const size_t size = (size_t)(end - raw);
    if (mcu->tx_count + size + 2u > EVSE_MCU_TX_SIZE) {
        return; /* the line does not keep up; the next STATE says it all again */
    }
    uint8_t *code = &mcu->tx[mcu->tx_count++];
    *code = 1;
    for (size_t i = 0; i < size; i++) {
        if (raw[i] == 0) {
            code = &mcu->tx[mcu->tx_count++];
            *code = 1;
        } else {
            mcu->tx[mcu->tx_count++] = raw[i];
            ++*code;
        }
    }
    mcu->tx[mcu->tx_count++] = 0;
}

static void send_hello_ack(evse_mcu *mcu, uint32_t nonce) {
    uint8_t payload[48];
    uint8_t *end = put32(payload, nonce);
    end = put32(end, mcu->board.boot_id);
    end = put16(end, mcu->board.max_current_da);
    end = put16(end, mcu->board.min_current_da);
    end = put16(end, mcu->board.voltage_dv);
    *end++ = mcu->board.phases;
    *end++ = mcu->board.flags;
    memcpy(end, mcu->board.model, 16);
    memcpy(end + 16, mcu->board.firmware, 16);
    send(mcu, HELLO_ACK, payload, sizeof payload);
}

static void send_ack(evse_mcu *mcu, uint16_t seq, uint8_t result) {
    uint8_t payload[3];
    put16(payload, seq);
    payload[2] = result;
    send(mcu, ACK, payload, sizeof payload);
}

static void send_state(evse_mcu *mcu, const evse_mcu_inputs *in, uint32_t now_ms) {
    uint8_t payload[STATE_SIZE];
    uint8_t *end = payload;
    *end++ = mcu->cp;
    *end++ = mcu->cp_mode;
    end = put16(end, mcu->duty_centi);
    *end++ = (uint8_t)((mcu->coil ? POWER_PERMITTED : 0) | (mcu->armed ? ARMED : 0) | (in->locked ? LOCKED : 0) |
                       (mcu->tripped ? TRIPPED : 0));
    *end++ = mcu->contactor;
    *end++ = mcu->board.pp_ampacity_a;
    end = put32(end, mcu->faults);
    end = put16(end, (uint16_t)in->cp_high_cv);
    end = put16(end, (uint16_t)in->cp_low_cv);
    end = put16(end, mcu->unplug_count);
    /* Measured voltages wander: they are told with the next STATE, and cause none. */
    uint8_t levels[LEVELS_SIZE];
    memcpy(levels, payload, sizeof levels);
    memset(levels + 11, 0, 4);
    const bool changed = !mcu->ever_stated || memcmp(levels, mcu->stated, sizeof levels) != 0;
    if (!changed && now_ms - mcu->stated_ms < STATE_PERIOD_MS) {
        return;
    }
    memcpy(mcu->stated, levels, sizeof levels);
    mcu->ever_stated = true;
    mcu->stated_ms = now_ms;
    const uint32_t age_ms = now_ms - mcu->control.since_ms;
    end = put16(end, mcu->contactor_ms);
    end = put16(end, mcu->control.runs && age_ms < 0xFFFFu ? (uint16_t)age_ms : 0xFFFFu);
    put32(end, now_ms - mcu->booted_ms);
    send(mcu, STATE, payload, sizeof payload);
    if (mcu->token_age.runs) {
        send(mcu, TOKEN, mcu->token, mcu->token_size);
    }
}

static void send_telemetry(evse_mcu *mcu, const evse_mcu_inputs *in, uint32_t now_ms) {
    if (now_ms - mcu->telemetry_ms < mcu->board.telemetry_ms) {
        return;
    }
    mcu->telemetry_ms = now_ms;
    uint8_t payload[30];
    uint8_t *end = put32(payload, (uint32_t)in->energy_mwh);
    end = put32(end, (uint32_t)(in->energy_mwh >> 32));
    end = put32(end, (uint32_t)in->power_dw);
    for (int phase = 0; phase < 3; phase++) {
        end = put16(end, in->current_ca[phase]);
    }
    for (int phase = 0; phase < 3; phase++) {
        end = put16(end, in->voltage_dv[phase]);
    }
    end = put16(end, (uint16_t)in->board_temp_dc);
    end = put16(end, (uint16_t)in->plug_temp_dc);
    put16(end, in->sample_age_ms);
    send(mcu, TELEMETRY, payload, sizeof payload);
}

/* --- receiving --- */

static void obey_control(evse_mcu *mcu, const uint8_t *payload, uint32_t now_ms) {
    const uint16_t timeout_ms = get16(payload + 9);
    if (payload[0] > EVSE_MODE_F) {
        mcu->frames_dropped++;
        return;
    }
    mcu->control.runs = true;
    mcu->control.since_ms = now_ms;
    mcu->mode_wanted = payload[0];
    mcu->duty_wanted = get16(payload + 1);
    mcu->allow = (payload[3] & ALLOW_POWER) != 0;
    mcu->lock_wanted = (payload[3] & LOCK) != 0;
    mcu->limit_da = get16(payload + 4);
    mcu->timeout_ms = timeout_ms < MAX_TIMEOUT_MS ? timeout_ms : MAX_TIMEOUT_MS;
    if (mcu->token_age.runs && payload[11] == mcu->token_number) {
        mcu->token_age.runs = false;
    }
    if (!mcu->allow) {
        mcu->armed = true;
        mcu->tripped = false;
        if (mcu->contactor == EVSE_CONTACTOR_STUCK_OPEN) {
            mcu->latched &= ~FAULT_CONTACTOR;
            mcu->contactor = EVSE_CONTACTOR_OPEN;
        }
    }
}

/* Repeated under a new seq while it runs, the test goes on and answers the new one. */
static void begin_rcd_test(evse_mcu *mcu, uint16_t seq, uint32_t now_ms) {
    const bool has_one = (mcu->board.flags & HAS_RCD_TEST) != 0u;
    if (!has_one || mcu->allow || mcu->coil || mcu->feedback || (mcu->faults & FAULT_RESIDUAL_CURRENT) != 0u) {
        send_ack(mcu, seq, has_one ? REFUSED : UNSUPPORTED);
        return;
    }
    mcu->rcd_seq = seq;
    if (!mcu->rcd_test.runs) {
        mcu->rcd_seen = false;
        run(&mcu->rcd_test, true, now_ms);
    }
}

/* The sensor must trip while the test current flows, and let go when it does not. Its word is no fault meanwhile. */
static uint32_t watch_rcd_test(evse_mcu *mcu, uint32_t faults, uint32_t now_ms) {
    const bool trips = (faults & FAULT_RESIDUAL_CURRENT) != 0u;
    if (!mcu->rcd_test.runs) {
        return faults;
    }
    if (trips && !mcu->rcd_seen) {
        mcu->rcd_seen = true;
        mcu->rcd_test.since_ms = now_ms;
    }
    if (mcu->rcd_seen && !trips) {
        mcu->rcd_test.runs = false;
        send_ack(mcu, mcu->rcd_seq, DONE);
    } else if (due(&mcu->rcd_test, mcu->rcd_seen ? RCD_RELEASE_MS : RCD_TRIP_MS, now_ms)) {
        mcu->rcd_test.runs = false;
        send_ack(mcu, mcu->rcd_seq, FAILED);
        return faults;
    }
    return faults & ~FAULT_RESIDUAL_CURRENT;
}

static uint8_t obey_command(evse_mcu *mcu, uint8_t code) {
    if (code == REBOOT) {
        mcu->reboot = true;
        return DONE;
    }
    if (code != RESET_FAULT) {
        return UNSUPPORTED;
    }
    if (mcu->feedback && !mcu->coil) {
        return REFUSED;
    }
    mcu->latched = 0;
    mcu->contactor = mcu->feedback ? EVSE_CONTACTOR_CLOSED : EVSE_CONTACTOR_OPEN;
    return DONE;
}

static void obey(evse_mcu *mcu, const uint8_t *frame, size_t count, uint32_t now_ms) {
    const uint8_t *payload = frame + HEADER;
    const size_t length = count - HEADER;
    if (frame[4] != mcu->board.evse) {
        return;
    }
    if (frame[1] == HELLO && length >= 4u) {
        mcu->armed = false;
        mcu->allow = false;
        send_hello_ack(mcu, get32(payload));
    } else if (frame[1] == CONTROL && length >= CONTROL_SIZE) {
        obey_control(mcu, payload, now_ms);
    } else if (frame[1] == COMMAND && length >= 5u) {
        if (payload[0] == RCD_TEST) {
            begin_rcd_test(mcu, get16(frame + 2), now_ms);
        } else {
            send_ack(mcu, get16(frame + 2), obey_command(mcu, payload[0]));
        }
    } else {
        mcu->frames_dropped++;
    }
}

/* Decodes in place: COBS only shrinks. Returns 0 for what is no COBS. */
static size_t unstuff(uint8_t *data, size_t count) {
    size_t from = 0;
    size_t to = 0;
    while (from < count) {
        const size_t code = data[from++];
        if (code - 1u > count - from) {
            return 0;
        }
        memmove(data + to, data + from, code - 1u);
        to += code - 1u;
        from += code - 1u;
        if (code < 0xFFu && from < count) {
            data[to++] = 0;
        }
    }
    return to;
}

static void take_frame(evse_mcu *mcu, uint32_t now_ms) {
    const size_t count = unstuff(mcu->rx, mcu->rx_count);
    if (count < HEADER + CRC || crc32(mcu->rx, count - CRC) != get32(mcu->rx + count - CRC) ||
        mcu->rx[0] >> 4 != VERSION >> 4) {
        mcu->frames_dropped++;
        return;
    }
    obey(mcu, mcu->rx, count - CRC, now_ms);
}

void evse_mcu_receive(evse_mcu *mcu, const uint8_t *data, size_t count, uint32_t now_ms) {
    for (size_t i = 0; i < count; i++) {
        if (data[i] != 0) {
            if (mcu->rx_count < sizeof mcu->rx) {
                mcu->rx[mcu->rx_count++] = data[i];
            } else {
                mcu->rx_overrun = true;
            }
            continue;
        }
        if (mcu->rx_overrun) {
            mcu->frames_dropped++;
        } else if (mcu->rx_count > 0) {
            take_frame(mcu, now_ms);
        }
        mcu->rx_count = 0;
        mcu->rx_overrun = false;
    }
}

/* --- the rules --- */

static void supervise_host(evse_mcu *mcu, uint32_t now_ms) {
    if (!mcu->tripped && due(&mcu->control, mcu->timeout_ms, now_ms)) {
        static const uint8_t warning[] = "\4host silent: contactor open, pilot F";
        mcu->tripped = true;
        mcu->armed = false;
        mcu->allow = false;
        send(mcu, LOG, warning, sizeof warning - 1u);
    }
}

static void filter_cp(evse_mcu *mcu, uint8_t raw, uint32_t now_ms) {
    if (raw != mcu->cp_raw) {
        mcu->cp_raw = raw;
        mcu->cp_changed.since_ms = now_ms;
    }
    if (mcu->cp_mode == EVSE_MODE_E || mcu->cp_mode == EVSE_MODE_F) {
        mcu->cp = mcu->cp_mode == EVSE_MODE_E ? EVSE_CP_E : EVSE_CP_F;
        mcu->cp_changed.since_ms = now_ms;
        mcu->in_a.runs = false;
        return;
    }
    if (now_ms - mcu->cp_changed.since_ms >= CP_FILTER_MS) {
        mcu->cp = mcu->cp_raw;
    }
    run(&mcu->in_a, mcu->cp_raw == EVSE_CP_A, now_ms);
    if (!mcu->in_a.runs) {
        mcu->a_counted = false;
    } else if (!mcu->a_counted && due(&mcu->in_a, UNPLUG_MS, now_ms)) {
        mcu->a_counted = true;
        mcu->unplug_count++;
    }
}

static void drive_pilot(evse_mcu *mcu, uint32_t now_ms) {
    const uint16_t duty = mcu->duty_wanted;
    const bool valid = duty == 500u || (duty >= 1000u && duty <= 9600u);
    uint8_t mode = mcu->tripped ? EVSE_MODE_F : mcu->mode_wanted;
    if (mode == EVSE_MODE_X2 && !valid) {
        mode = EVSE_MODE_X1;
    }
    mcu->cp_mode = mode;
    mcu->duty_centi = mode == EVSE_MODE_X2 ? duty : 0u;
    run(&mcu->in_c1, mcu->coil && mode == EVSE_MODE_X1, now_ms);
}

static void watch_current(evse_mcu *mcu, const evse_mcu_inputs *in, uint32_t now_ms) {
    /* (limit + 0.5 A) x 1.1 in 0.01 A: (limit_da x 10 + 50) x 11 / 10 */
    const uint32_t most_ca = ((uint32_t)mcu->limit_da * 10u + 50u) * 11u / 10u;
    bool over = false;
    for (int phase = 0; phase < 3; phase++) {
        over = over || in->current_ca[phase] > most_ca;
    }
    run(&mcu->over_current, mcu->limit_da > 0u && over, now_ms);
    if (due(&mcu->over_current, OVER_CURRENT_MS, now_ms)) {
        mcu->latched |= FAULT_OVER_CURRENT;
    }
}

static void switch_coil(evse_mcu *mcu, bool coil, uint32_t now_ms) {
    if (coil != mcu->coil) {
        mcu->coil = coil;
        mcu->coil_ms = now_ms;
    }
}

static void drive_coil(evse_mcu *mcu, uint32_t now_ms) {
    const bool may_stay = mcu->allow && mcu->armed && !mcu->tripped && !mcu->rcd_test.runs &&
                          (mcu->cp == EVSE_CP_C || mcu->cp == EVSE_CP_D) &&
                          (mcu->faults & ~WARNINGS) == 0u && !due(&mcu->in_c1, C1_LIMIT_MS, now_ms);
    switch_coil(mcu, may_stay && (mcu->coil || mcu->cp_mode == EVSE_MODE_X2), now_ms);
}

static void judge_contactor(evse_mcu *mcu, bool feedback, uint32_t now_ms) {
    const uint32_t since_ms = now_ms - mcu->coil_ms;
    if (feedback != mcu->feedback) {
        mcu->feedback = feedback;
        mcu->contactor_ms = since_ms < 0xFFFFu ? (uint16_t)since_ms : 0xFFFFu;
    }
    if (mcu->contactor == EVSE_CONTACTOR_WELDED || mcu->contactor == EVSE_CONTACTOR_STUCK_OPEN) {
        return;
    }
    mcu->contactor = feedback ? EVSE_CONTACTOR_CLOSED : EVSE_CONTACTOR_OPEN;
    if (feedback && !mcu->coil && since_ms >= WELD_MS) {
        mcu->contactor = EVSE_CONTACTOR_WELDED;
        mcu->latched |= FAULT_CONTACTOR;
    } else if (!feedback && mcu->coil && since_ms >= STUCK_MS) {
        mcu->contactor = EVSE_CONTACTOR_STUCK_OPEN;
        mcu->latched |= FAULT_CONTACTOR;
        switch_coil(mcu, false, now_ms);
    }
}

void evse_mcu_step(evse_mcu *mcu, const evse_mcu_inputs *in, evse_mcu_outputs *out, uint32_t now_ms) {
    supervise_host(mcu, now_ms);
    filter_cp(mcu, in->cp, now_ms);
    drive_pilot(mcu, now_ms);
    watch_current(mcu, in, now_ms);
    const uint32_t sensed = watch_rcd_test(mcu, in->faults, now_ms);
    mcu->faults = sensed | mcu->latched;
    drive_coil(mcu, now_ms);
    judge_contactor(mcu, in->contactor_closed != 0u, now_ms);
    mcu->faults = sensed | mcu->latched;
    if (!mcu->lock || (!mcu->coil && !mcu->feedback)) {
        mcu->lock = mcu->lock_wanted;
    }
    if (due(&mcu->token_age, TOKEN_LIFE_MS, now_ms)) {
        mcu->token_age.runs = false;
    }
    send_state(mcu, in, now_ms);
    send_telemetry(mcu, in, now_ms);
    *out = (evse_mcu_outputs){.faults = mcu->faults,
                              .duty_centi = mcu->duty_centi,
                              .cp_mode = mcu->cp_mode,
                              .coil = mcu->coil,
                              .lock = mcu->lock,
                              .allowed = mcu->allow,
                              .tripped = mcu->tripped,
                              .reboot = mcu->reboot,
                              .rcd_test = mcu->rcd_test.runs && !mcu->rcd_seen};
}

/* --- the rest of the door --- */

void evse_mcu_init(evse_mcu *mcu, const evse_mcu_board *board, uint32_t now_ms) {
    memset(mcu, 0, sizeof *mcu);
    mcu->board = *board;
    mcu->booted_ms = now_ms;
    mcu->coil_ms = now_ms; /* until the contactor has had its time to fall, a closed feedback says nothing */
    mcu->telemetry_ms = now_ms;
    mcu->timeout_ms = MAX_TIMEOUT_MS;
    mcu->mode_wanted = EVSE_MODE_F;
    mcu->cp_mode = EVSE_MODE_F;
    mcu->cp = EVSE_CP_F;
    mcu->a_counted = true;
    mcu->cp_changed.since_ms = now_ms;
}

void evse_mcu_present(evse_mcu *mcu, uint8_t kind, const uint8_t *uid, uint8_t length, uint32_t now_ms) {
    if (length == 0u || length > 10u) {
        return;
    }
    mcu->token_number = mcu->token_number == 255u ? 1u : (uint8_t)(mcu->token_number + 1u);
    mcu->token[0] = mcu->token_number;
    mcu->token[1] = kind;
    mcu->token[2] = length;
    memcpy(mcu->token + 3, uid, length);
    mcu->token_size = (uint8_t)(3u + length);
    mcu->token_age.runs = true;
    mcu->token_age.since_ms = now_ms;
    send(mcu, TOKEN, mcu->token, mcu->token_size);
}

size_t evse_mcu_transmit(evse_mcu *mcu, uint8_t *out, size_t size) {
    const size_t count = mcu->tx_count < size ? mcu->tx_count : size;
    memcpy(out, mcu->tx, count);
    memmove(mcu->tx, mcu->tx + count, mcu->tx_count - count);
    mcu->tx_count -= count;
    return count;
}

size_t evse_mcu_size(void) { return sizeof(evse_mcu); }
