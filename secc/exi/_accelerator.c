/* The codec's two loops over the same tables as decoder.py and encoder.py, for boards whose wheel was built with a
 * compiler. It knows only what a sound message needs: at anything else it returns None, and the Python loop runs in
 * its place, to succeed (text beyond ASCII, integers beyond 63 bits) or to raise its error. So both give equal
 * results and errors by construction, and there is one place where a refusal is worded.
 *
 * CPython's limited API, 3.11 and later: one binary for all versions.
 */
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { VALUE, NODE, END, REFUSED };                         /* grammar.py */
enum { TABLE, UNSIGNED, INTEGER, STRING, HEX, BASE64 };     /* values.py */
enum { BOOLEAN, NUMBER, TEXT, OCTETS };

#define HEADER 0x80
#define MAX_DEPTH 64
#define MAX_LISTS 16
#define MAX_OCTETS 9 /* of an integer: 63 bits, so that it fits both signs */

typedef struct {
    int kind, width, python;
    uint32_t greatest;
    PyObject *table; /* a tuple of strings or booleans; NULL where the table is a range that starts at table_low */
    long table_low;
    PyObject *codes; /* a dict, or NULL */
    long long low, high;
} Value;

typedef struct {
    int event;
    PyObject *name; /* interned */
    Value value;
    uint32_t start, following, exhausted;
    Py_ssize_t limit;
} Production;

typedef struct {
    int width;
    uint32_t count;
    Production *productions;
    PyObject *codes; /* name -> event code, or NULL */
} State;

typedef struct {
    PyObject *rows; /* keeps every borrowed object above alive */
    Py_ssize_t count;
    State *states;
    Production *productions;
    PyObject *empty; /* the name of an end in a state's codes */
} Tables;

static const char CAPSULE[] = "secc.exi._accelerator.Tables";

/* -- loading ------------------------------------------------------------------------------------------------------ */

static void free_tables(Tables *tables)
{
    if (tables->productions != NULL) {
        Production *production = tables->productions;
        for (Py_ssize_t state = 0; state < tables->count; state++)
            for (uint32_t index = 0; index < tables->states[state].count; index++, production++)
                Py_XDECREF(production->name);
    }
    PyMem_Free(tables->productions);
    PyMem_Free(tables->states);
    Py_XDECREF(tables->rows);
    Py_XDECREF(tables->empty);
    PyMem_Free(tables);
}

static void free_capsule(PyObject *capsule)
{
    Tables *tables = PyCapsule_GetPointer(capsule, CAPSULE);
    if (tables != NULL)
        free_tables(tables);
}

static PyObject *item(PyObject *tuple, Py_ssize_t index)
{
    return tuple == NULL ? NULL : PyTuple_GetItem(tuple, index); /* borrowed; sets TypeError or IndexError */
}

static long long number(PyObject *tuple, Py_ssize_t index)
{
    PyObject *held = item(tuple, index);
    return held == NULL ? -1 : PyLong_AsLongLong(held);
}

/* A bound of an integer's range or of a length; what exceeds 64 bits is never compared, Python does that. */
static long long bound(PyObject *tuple, Py_ssize_t index)
{
    PyObject *held = item(tuple, index);
    int overflow = 0;
    if (held == NULL)
        return -1;
    long long value = PyLong_AsLongLongAndOverflow(held, &overflow);
    if (overflow)
        return overflow > 0 ? INT64_MAX : INT64_MIN;
    return value;
}

static int load_value(PyObject *row, Value *value)
{
    PyObject *table = item(row, 4), *facets = item(row, 5);
    PyObject *codes = item(facets, 0), *python = item(facets, 3);
    value->kind = (int)number(row, 0);
    value->width = (int)number(row, 1);
    value->greatest = (uint32_t)number(row, 3);
    value->low = bound(facets, 1);
    value->high = bound(facets, 2);
    if (PyErr_Occurred())
        return -1;
    value->codes = codes == Py_None ? NULL : codes;
    value->table = PyTuple_Check(table) ? table : NULL;
    value->table_low = (long)value->low;
    value->python = python == (PyObject *)&PyBool_Type   ? BOOLEAN
                    : python == (PyObject *)&PyLong_Type ? NUMBER
                    : python == (PyObject *)&PyUnicode_Type ? TEXT
                                                            : OCTETS;
    if (value->width < 0 || value->width > 24 ||
        (value->kind == TABLE && value->table != NULL && value->greatest >= (uint32_t)PyTuple_Size(value->table))) {
        PyErr_SetString(PyExc_ValueError, "a value row out of bounds");
        return -1;
    }
    return 0;
}

static int load_production(Tables *tables, PyObject *row, Production *production)
{
    production->event = (int)number(row, 0);
    PyObject *name = item(row, 1);
    if (name == NULL || load_value(item(row, 2), &production->value) < 0)
        return -1;
    Py_INCREF(name);
    PyUnicode_InternInPlace(&name);
    production->name = name;
    production->start = (uint32_t)number(row, 3);
    production->following = (uint32_t)number(row, 4);
    production->limit = (Py_ssize_t)number(row, 5);
    production->exhausted = (uint32_t)number(row, 6);
    if (PyErr_Occurred())
        return -1;
    if (production->start >= tables->count || production->following >= tables->count ||
        production->exhausted >= tables->count) {
        PyErr_SetString(PyExc_ValueError, "a production that leads nowhere");
        return -1;
    }
    return 0;
}

static int load_states(Tables *tables)
{
    Py_ssize_t total = 0;
    for (Py_ssize_t index = 0; index < tables->count; index++) {
        PyObject *productions = item(item(tables->rows, index), 2);
        Py_ssize_t count = productions == NULL ? -1 : PyTuple_Size(productions);
        if (count < 0)
            return -1;
        total += count;
    }
    tables->states = PyMem_Calloc((size_t)tables->count + 1, sizeof(State));
    tables->productions = PyMem_Calloc((size_t)total + 1, sizeof(Production));
    if (tables->states == NULL || tables->productions == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    Production *next = tables->productions;
    for (Py_ssize_t index = 0; index < tables->count; index++) {
        PyObject *row = item(tables->rows, index), *productions = item(row, 2), *codes = item(row, 3);
        State *state = &tables->states[index];
        state->width = (int)number(row, 0);
        state->count = (uint32_t)PyTuple_Size(productions);
        state->productions = next;
        state->codes = codes == Py_None ? NULL : codes;
        next += state->count;
        if (PyErr_Occurred())
            return -1;
        if (state->width < 0 || state->width > 24) {
            PyErr_SetString(PyExc_ValueError, "a state row out of bounds");
            return -1;
        }
        for (uint32_t at = 0; at < state->count; at++)
            if (load_production(tables, item(productions, (Py_ssize_t)at), &state->productions[at]) < 0)
                return -1;
    }
    return 0;
}

static PyObject *load(PyObject *module, PyObject *rows)
{
    (void)module;
    Py_ssize_t count = PyTuple_Size(rows);
    if (count < 0)
        return NULL;
    Tables *tables = PyMem_Calloc(1, sizeof(Tables));
    if (tables == NULL)
        return PyErr_NoMemory();
    Py_INCREF(rows);
    tables->rows = rows;
    tables->count = count;
    tables->empty = PyUnicode_InternFromString("");
    if (tables->empty == NULL || load_states(tables) < 0) {
        free_tables(tables);
        return NULL;
    }
    PyObject *capsule = PyCapsule_New(tables, CAPSULE, free_capsule);
    if (capsule == NULL)
        free_tables(tables);
    return capsule;
}

/* -- reading ------------------------------------------------------------------------------------------------------ */

typedef struct {
    const uint8_t *data;
    Py_ssize_t length;   /* octets */
    Py_ssize_t position; /* bits; never beyond length * 8 */
} Reader;

/* At most 24 bits; 0 where fewer remain. */
static int read_bits(Reader *reader, int width, uint32_t *bits)
{
    if (reader->position + width > reader->length * 8)
        return 0;
    Py_ssize_t octet = reader->position >> 3;
    uint64_t held = 0;
    if (octet + 4 <= reader->length) {
        const uint8_t *at = reader->data + octet;
        held = (uint64_t)at[0] << 24 | (uint64_t)at[1] << 16 | (uint64_t)at[2] << 8 | at[3];
    } else {
        for (Py_ssize_t index = octet; index < octet + 4; index++)
            held = held << 8 | (index < reader->length ? reader->data[index] : 0);
    }
    *bits = (uint32_t)(held >> (32 - (reader->position & 7) - width)) & ((1u << width) - 1);
    reader->position += width;
    return 1;
}

static int read_octets(Reader *reader, uint8_t *target, Py_ssize_t count)
{
    if (count > (reader->length * 8 - reader->position) / 8)
        return 0;
    const uint8_t *from = reader->data + (reader->position >> 3);
    int shift = (int)(reader->position & 7);
    if (shift == 0) {
        memcpy(target, from, (size_t)count);
    } else {
        for (Py_ssize_t index = 0; index < count; index++)
            target[index] = (uint8_t)(from[index] << shift | from[index + 1] >> (8 - shift));
    }
    reader->position += count * 8;
    return 1;
}

/* The octets after the first of an unsigned integer. */
static int read_continued(Reader *reader, uint64_t *value)
{
    for (int octets = 1; octets < MAX_OCTETS; octets++) {
        uint32_t octet;
        if (!read_bits(reader, 8, &octet))
            return 0;
        *value |= (uint64_t)(octet & 0x7F) << (7 * octets);
        if (octet < 0x80)
            return 1;
    }
    return 0;
}

static PyObject *read_text(Reader *reader, Py_ssize_t length)
{
    uint8_t small[256], *buffer = small;
    PyObject *text = NULL;
    if (length > (reader->length * 8 - reader->position) / 8)
        return NULL;
    if (length > (Py_ssize_t)sizeof small && (buffer = PyMem_Malloc((size_t)length)) == NULL)
        return NULL;
    if (read_octets(reader, buffer, length)) {
        uint8_t all = 0;
        for (Py_ssize_t index = 0; index < length; index++)
            all |= buffer[index];
        if (all < 0x80)
            text = PyUnicode_FromStringAndSize((const char *)buffer, length);
    }
    if (buffer != small)
        PyMem_Free(buffer);
    return text;
}

static PyObject *read_binary(Reader *reader, Py_ssize_t length)
{
    if (length > (reader->length * 8 - reader->position) / 8)
        return NULL;
    PyObject *octets = PyBytes_FromStringAndSize(NULL, length);
    if (octets != NULL && !read_octets(reader, (uint8_t *)PyBytes_AsString(octets), length)) {
        Py_DECREF(octets);
        return NULL;
    }
    return octets;
}

/* A new reference, or NULL with or without an exception. */
static PyObject *read_value(Reader *reader, const Value *value)
{
    uint32_t first;
    if (!read_bits(reader, value->width, &first) || first > value->greatest)
        return NULL;
    if (value->kind == TABLE) {
        if (value->table == NULL)
            return PyLong_FromLong(value->table_low + (long)first);
        PyObject *held = PyTuple_GetItem(value->table, (Py_ssize_t)first);
        Py_XINCREF(held);
        return held;
    }
    uint64_t magnitude = first & 0x7F;
    if (first & 0x80 && !read_continued(reader, &magnitude))
        return NULL;
    switch (value->kind) {
    case UNSIGNED:
        return PyLong_FromUnsignedLongLong(magnitude);
    case INTEGER:
        return PyLong_FromLongLong(first & 0x100 ? -(long long)magnitude - 1 : (long long)magnitude);
    case STRING:
        if (magnitude < 2 || magnitude > (uint64_t)reader->length + 2)
            return NULL;
        return read_text(reader, (Py_ssize_t)magnitude - 2);
    default:
        if (magnitude > (uint64_t)reader->length)
            return NULL;
        return read_binary(reader, (Py_ssize_t)magnitude);
    }
}

/* Puts `value` into `node`, and moves `state` where the list it went to is full. */
static int put(PyObject *node, const Production *production, PyObject *value, uint32_t *state)
{
    if (production->limit == 0)
        return PyDict_SetItem(node, production->name, value) == 0;
    PyObject *items = PyDict_GetItemWithError(node, production->name);
    if (items == NULL) {
        if (PyErr_Occurred() || (items = PyList_New(0)) == NULL)
            return 0;
        int failed = PyDict_SetItem(node, production->name, items);
        Py_DECREF(items); /* the dict holds it now */
        if (failed)
            return 0;
    }
    if (PyList_Append(items, value) < 0)
        return 0;
    if (PyList_Size(items) == production->limit)
        *state = production->exhausted;
    return 1;
}

static int read_message(const Tables *tables, uint32_t state, Reader *reader, PyObject *node)
{
    struct {
        PyObject *node; /* borrowed: each hangs in the one before */
        uint32_t state;
    } stack[MAX_DEPTH];
    int depth = 0;
    for (;;) {
        const State *row = &tables->states[state];
        uint32_t code;
        if (!read_bits(reader, row->width, &code) || code >= row->count)
            return 0;
        const Production *production = &row->productions[code];
        if (production->event == END) {
            if (depth == 0)
                return 1;
            depth--;
            node = stack[depth].node;
            state = stack[depth].state;
            continue;
        }
        if (production->event == REFUSED || (production->event == NODE && depth == MAX_DEPTH))
            return 0;
        PyObject *value = production->event == VALUE ? read_value(reader, &production->value) : PyDict_New();
        if (value == NULL)
            return 0;
        state = production->following;
        int done = put(node, production, value, &state);
        Py_DECREF(value);
        if (!done)
            return 0;
        if (production->event == NODE) {
            stack[depth].node = node;
            stack[depth].state = state;
            depth++;
            node = value;
            state = production->start;
        }
    }
}

static int arguments(PyObject *const *args, Py_ssize_t count, Tables **tables, uint32_t *state)
{
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "three arguments are needed: tables, start state, message");
        return 0;
    }
    *tables = PyCapsule_GetPointer(args[0], CAPSULE);
    unsigned long start = PyLong_AsUnsignedLong(args[1]);
    if (*tables == NULL || PyErr_Occurred())
        return 0;
    if (start >= (unsigned long)(*tables)->count) {
        PyErr_SetString(PyExc_ValueError, "no such state");
        return 0;
    }
    *state = (uint32_t)start;
    return 1;
}

/* Nothing but a lack of memory is told from here. */
static PyObject *leave_it_to_python(void)
{
    if (PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_MemoryError))
            return NULL;
        PyErr_Clear();
    }
    Py_RETURN_NONE;
}

static PyObject *decode(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Tables *tables;
    uint32_t state;
    char *data;
    Reader reader = {NULL, 0, 8};
    if (!arguments(args, count, &tables, &state) || PyBytes_AsStringAndSize(args[2], &data, &reader.length) < 0)
        return NULL;
    reader.data = (const uint8_t *)data;
    if (reader.length == 0 || reader.data[0] != HEADER)
        Py_RETURN_NONE;
    PyObject *root = PyDict_New();
    if (root == NULL || read_message(tables, state, &reader, root))
        return root;
    Py_DECREF(root);
    return leave_it_to_python();
}

/* -- writing ------------------------------------------------------------------------------------------------------ */

typedef struct {
    uint8_t *octets;
    size_t length, room;
    uint64_t pending; /* fewer than 8 bits between calls */
    int count;
    uint8_t small[1024];
} Writer;

static int make_room(Writer *writer, size_t more)
{
    if (writer->length + more <= writer->room)
        return 1;
    size_t room = 2 * (writer->length + more);
    uint8_t *octets = PyMem_Malloc(room);
    if (octets == NULL)
        return 0;
    memcpy(octets, writer->octets, writer->length);
    if (writer->octets != writer->small)
        PyMem_Free(writer->octets);
    writer->octets = octets;
    writer->room = room;
    return 1;
}

/* At most 24 bits. */
static int write_bits(Writer *writer, int width, uint32_t bits)
{
    if (!make_room(writer, 8))
        return 0;
    writer->pending = writer->pending << width | bits;
    writer->count += width;
    while (writer->count >= 8) {
        writer->count -= 8;
        writer->octets[writer->length++] = (uint8_t)(writer->pending >> writer->count);
    }
    writer->pending &= (1u << writer->count) - 1;
    return 1;
}

static int write_octets(Writer *writer, const uint8_t *from, Py_ssize_t count)
{
    if (!make_room(writer, (size_t)count + 8))
        return 0;
    if (writer->count == 0) {
        memcpy(writer->octets + writer->length, from, (size_t)count);
    } else {
        uint32_t held = (uint32_t)writer->pending;
        for (Py_ssize_t index = 0; index < count; index++) {
            held = held << 8 | from[index];
            writer->octets[writer->length + (size_t)index] = (uint8_t)(held >> writer->count);
        }
        writer->pending = held & ((1u << writer->count) - 1);
    }
    writer->length += (size_t)count;
    return 1;
}

/* `lead` bits first: the start of the characters, a sign. */
static int write_unsigned(Writer *writer, int lead, uint32_t lead_bits, uint64_t value)
{
    int width = lead + 8;
    uint32_t bits = lead_bits << 8;
    for (;;) {
        uint32_t octet = value & 0x7F;
        value >>= 7;
        if (value == 0)
            return write_bits(writer, width, bits | octet);
        if (!write_bits(writer, width, bits | octet | 0x80))
            return 0;
        width = 8;
        bits = 0;
    }
}

static int write_number(Writer *writer, const Value *value, PyObject *held)
{
    int overflow = 0;
    if (!PyLong_Check(held) || PyBool_Check(held))
        return 0;
    long long plain = PyLong_AsLongLongAndOverflow(held, &overflow);
    if (overflow || plain < value->low || plain > value->high)
        return 0;
    if (value->kind == TABLE)
        return write_bits(writer, value->width, (uint32_t)(plain - value->low));
    if (value->kind == UNSIGNED)
        return write_unsigned(writer, value->width - 8, 0, (uint64_t)plain);
    return write_unsigned(writer, value->width - 8, plain < 0, (uint64_t)(plain < 0 ? -(plain + 1) : plain));
}

static int write_value(Writer *writer, const Value *value, PyObject *held)
{
    if (value->codes != NULL) {
        int fits = value->python == BOOLEAN ? PyBool_Check(held) : PyUnicode_Check(held);
        PyObject *code = fits ? PyDict_GetItemWithError(value->codes, held) : NULL;
        return code != NULL && write_bits(writer, value->width, (uint32_t)PyLong_AsUnsignedLong(code));
    }
    if (value->python == NUMBER)
        return write_number(writer, value, held);
    const char *octets;
    Py_ssize_t length;
    if (value->python == TEXT) {
        if (!PyUnicode_Check(held) || (octets = PyUnicode_AsUTF8AndSize(held, &length)) == NULL ||
            length != PyUnicode_GetLength(held)) /* not ASCII */
            return 0;
    } else {
        if (!PyBytes_Check(held) || (octets = PyBytes_AsString(held)) == NULL)
            return 0;
        length = PyBytes_Size(held);
    }
    if (length < value->low || length > value->high)
        return 0;
    return write_unsigned(writer, value->width - 8, 0, (uint64_t)length + (value->python == TEXT ? 2 : 0)) &&
           write_octets(writer, (const uint8_t *)octets, length);
}

typedef struct {
    PyObject *node; /* borrowed: each hangs in the one before, and nothing here runs the caller's code */
    uint32_t state;
    Py_ssize_t used;
    int lists;
    struct {
        PyObject *name, *items;
        Py_ssize_t next, size;
    } list[MAX_LISTS];
} Frame;

/* The list of that name in the frame, entered at first sight; its index, or -1. */
static int list_of(Frame *frame, PyObject *name, PyObject *items)
{
    for (int index = 0; index < frame->lists; index++)
        if (frame->list[index].name == name)
            return index;
    if (frame->lists == MAX_LISTS || !PyList_Check(items))
        return -1;
    int index = frame->lists++;
    frame->list[index].name = name;
    frame->list[index].items = items;
    frame->list[index].next = 0;
    frame->list[index].size = PyList_Size(items);
    return index;
}

/* The production to write next, with the value for it; NULL to leave it to Python. */
static const Production *choose(const Tables *tables, const State *row, Frame *frame, uint32_t *code, PyObject **value)
{
    if (row->codes != NULL) {
        PyObject *key, *held;
        Py_ssize_t at = 0;
        unsigned long least = row->count;
        while (PyDict_Next(frame->node, &at, &key, &held)) {
            PyObject *found = PyDict_GetItemWithError(row->codes, key);
            unsigned long candidate = found == NULL ? row->count : PyLong_AsUnsignedLong(found);
            if (candidate < least) {
                least = candidate;
                *value = held;
            }
        }
        if (least == row->count) {
            PyObject *found = PyDict_GetItemWithError(row->codes, tables->empty);
            least = found == NULL ? row->count : PyLong_AsUnsignedLong(found);
        }
        *code = (uint32_t)least;
        return least < row->count ? &row->productions[least] : NULL;
    }
    for (uint32_t index = 0; index < row->count; index++) {
        const Production *production = &row->productions[index];
        *code = index;
        if (production->event == END)
            return production;
        PyObject *held = PyDict_GetItemWithError(frame->node, production->name);
        if (held == NULL) {
            if (PyErr_Occurred())
                return NULL;
            continue;
        }
        if (production->limit == 0) {
            *value = held;
            return production;
        }
        int list = list_of(frame, production->name, held);
        if (list < 0 || frame->list[list].size > production->limit)
            return NULL;
        if (frame->list[list].next < frame->list[list].size) {
            *value = PyList_GetItem(held, frame->list[list].next);
            return *value == NULL ? NULL : production;
        }
    }
    return NULL;
}

static int write_message(const Tables *tables, uint32_t state, Writer *writer, PyObject *node, Frame *stack)
{
    int depth = 0;
    stack[0].node = node;
    stack[0].used = 0;
    stack[0].lists = 0;
    for (;;) {
        Frame *frame = &stack[depth];
        const State *row = &tables->states[state];
        uint32_t code;
        PyObject *value = NULL;
        const Production *production = choose(tables, row, frame, &code, &value);
        if (production == NULL || production->event == REFUSED || !write_bits(writer, row->width, code))
            return 0;
        if (production->event == END) {
            if (frame->used + frame->lists != PyDict_Size(frame->node))
                return 0;
            if (depth == 0)
                return 1;
            depth--;
            state = stack[depth].state;
            continue;
        }
        state = production->following;
        if (production->limit == 0) {
            frame->used++;
        } else {
            int list = list_of(frame, production->name, value);
            if (list < 0)
                return 0;
            if (++frame->list[list].next == production->limit)
                state = production->exhausted;
        }
        if (production->event == VALUE) {
            if (!write_value(writer, &production->value, value))
                return 0;
            continue;
        }
        if (!PyDict_Check(value) || depth + 1 == MAX_DEPTH)
            return 0;
        frame->state = state;
        depth++;
        stack[depth].node = value;
        stack[depth].used = 0;
        stack[depth].lists = 0;
        state = production->start;
    }
}

static PyObject *encode(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    Tables *tables;
    uint32_t state;
    Writer writer;
    Frame stack[MAX_DEPTH];
    PyObject *octets = NULL;
    if (!arguments(args, count, &tables, &state))
        return NULL;
    if (!PyDict_Check(args[2]) || PyDict_Size(args[2]) != 1)
        Py_RETURN_NONE;
    writer.octets = writer.small;
    writer.room = sizeof writer.small;
    writer.length = writer.pending = 0;
    writer.count = 0;
    int done = write_bits(&writer, 8, HEADER) && write_message(tables, state, &writer, args[2], stack) &&
               write_bits(&writer, (8 - writer.count) & 7, 0);
    if (done && !PyErr_Occurred())
        octets = PyBytes_FromStringAndSize((const char *)writer.octets, (Py_ssize_t)writer.length);
    if (writer.octets != writer.small)
        PyMem_Free(writer.octets);
    return done && !PyErr_Occurred() ? octets : leave_it_to_python();
}

/* ----------------------------------------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"load", load, METH_O, "load(states): the rows of a namespace, for decode and encode."},
    {"decode", (PyCFunction)(void (*)(void))decode, METH_FASTCALL,
     "decode(tables, start, octets): the message, or None where Python has to see to it."},
    {"encode", (PyCFunction)(void (*)(void))encode, METH_FASTCALL,
     "encode(tables, start, message): the octets, or None where Python has to see to it."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_accelerator",
    .m_doc = "The EXI codec's loops in C.",
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__accelerator(void) { return PyModuleDef_Init(&definition); }
