// Which half of the flash runs. Pure: what it reads it is given, what it writes it is told by.
// The firmware has the same in firmware/ams/update/halves.py, which also says what a record holds.
#ifndef CHOOSE_H
#define CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

enum { RECORDS = 128, RECORD_SIZE = 64, RECORD_MARKS = 48, RECORD_MARKS_MAX = 8 };

typedef struct {
    const uint8_t *records;  // RECORDS of RECORD_SIZE octets: two sectors
    const uint8_t *code[2];  // of both halves
    uint32_t code_max;
    // Programs the octet at this offset of the records to 0.
    void (*mark)(uint32_t offset);
} flash_t;

typedef struct {
    int half;      // 1, 2; 0: nothing here may run
    bool guarded;  // by the watchdog
} choice_t;

uint32_t crc32(const uint8_t *data, uint32_t size);
choice_t choose(const flash_t *flash, bool failed);

#endif
