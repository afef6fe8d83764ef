#include "choose.h"

// Offsets in a record; big-endian.
enum { SEQUENCE = 4, START = 8, TRIAL = 9, STARTS = 10, OTHER = 11, CODE = 12, CRC = 44 };

typedef uint32_t __attribute__((may_alias)) word_t;

// Of each octet, and of it with one, two and three zeros behind it: a word at a time is twice as
// fast as its octets.
static uint32_t table[256][4];

static void make_table(void) {
    for (uint32_t k = 0; k < 256; ++k) {
        uint32_t value = k;
        for (int bit = 0; bit < 8; ++bit) {
            value = value >> 1 ^ (value & 1 ? 0xEDB88320 : 0);
        }
        table[k][0] = value;
    }
    for (uint32_t k = 0; k < 256; ++k) {
        for (int zeros = 1; zeros < 4; ++zeros) {
            uint32_t value = table[k][zeros - 1];
            table[k][zeros] = value >> 8 ^ table[value & 0xFF][0];
        }
    }
}

uint32_t crc32(const uint8_t *data, uint32_t size) {
    if (!table[1][0]) {
        make_table();
    }
    const uint8_t *end = data + size;
    uint32_t crc = 0xFFFFFFFF;
    // Records and code begin at words; both cores that this runs on are little-endian.
    if (!((uintptr_t)data & 3)) {
        for (; end - data >= 4; data += 4) {
            crc ^= *(const word_t *)data;
            crc = table[crc & 0xFF][3] ^ table[crc >> 8 & 0xFF][2] ^ table[crc >> 16 & 0xFF][1]
                ^ table[crc >> 24][0];
        }
    }
    while (data < end) {
        crc = crc >> 8 ^ table[(crc ^ *data++) & 0xFF][0];
    }
    return ~crc;
}

static uint32_t number(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

static bool is_good(const uint8_t *record) {
    return number(record) == 0x4F414231  // "OAB1"
        && (record[START] == 1 || record[START] == 2) && record[TRIAL] <= 1
        && record[STARTS] <= RECORD_MARKS_MAX && crc32(record, CRC) == number(record + CRC);
}

static bool is_whole(const flash_t *flash, const uint8_t *record, int half) {
    const uint8_t *code = record + CODE + (half - 1) * 8;
    uint32_t size = number(code);
    return size != 0 && size <= flash->code_max
        && crc32(flash->code[half - 1], size) == number(code + 4);
}

static int used(const uint8_t *record) {
    int count = 0;
    while (count < record[STARTS] && record[RECORD_MARKS + count] != 0xFF) {
        ++count;
    }
    return count;
}

choice_t choose(const flash_t *flash, bool failed) {
    const uint8_t *newest = 0;
    for (int k = 0; k < RECORDS; ++k) {
        const uint8_t *record = flash->records + k * RECORD_SIZE;
        // The cheap look first: most places are erased.
        if (number(record) == 0x4F414231
            && (!newest || number(record + SEQUENCE) > number(newest + SEQUENCE))
            && is_good(record)) {
            newest = record;
        }
    }
    if (!newest) {
        // Flashed, and never updated.
        return (choice_t) { 1, false };
    }
    int half = newest[START], other = 3 - half, count = used(newest);
    bool left = count < newest[STARTS], whole = is_whole(flash, newest, half);
    if (whole && left && (newest[TRIAL] || failed)) {
        // Counted before it runs. What the flash does not take would never end.
        flash->mark(newest + RECORD_MARKS + count - flash->records);
        left = used(newest) > count && (newest[TRIAL] || used(newest) < newest[STARTS]);
    }
    if (whole && left) {
        return (choice_t) { half, true };
    }
    if (newest[OTHER] && is_whole(flash, newest, other)) {
        return (choice_t) { other, true };
    }
    // Nothing else is there: better code that fails now and then than none.
    return (choice_t) { whole ? half : 0, true };
}
