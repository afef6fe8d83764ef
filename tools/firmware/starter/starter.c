// The first 8 KiB of a flash with two halves: chooses one, and starts it. Never written again.
//
// Runs from RAM, without interrupts and without a library. What comes before it is the firmware's
// second stage of the boot, which sets the flash up for reading.
#include <stddef.h>

#include "choose.h"
#include "flashmap.h"

#define REG(address) (*(volatile uint32_t *)(address))
#define SET(address) REG((address) + 0x2000)
#define CLEAR(address) REG((address) + 0x3000)

enum { XIP = 0x10000000, VECTORS = 0x100, BOOT2_SIZE = 0x100, PAGE = 256 };
// RP2040 datasheet 2.14, 2.15.7, 2.16.7, 2.18.4, 4.7.6, 2.8.1.
enum { RESETS = 0x4000C000, RESET_DONE = 8, PLL_SYS_RESET = 1 << 12 };
enum { CLK_REF_CTRL = 0x40008030, CLK_REF_SELECTED = 0x40008038,
       CLK_SYS_CTRL = 0x4000803C, CLK_SYS_DIV = 0x40008040, CLK_SYS_SELECTED = 0x40008044 };
enum { XOSC_CTRL = 0x40024000, XOSC_STATUS = 0x40024004, XOSC_STARTUP = 0x4002400C };
enum { PLL_CS = 0x40028000, PLL_PWR = 0x40028004, PLL_FBDIV = 0x40028008, PLL_PRIM = 0x4002800C };
enum { WATCHDOG_CTRL = 0x40058000, WATCHDOG_LOAD = 0x40058004, WATCHDOG_REASON = 0x40058008,
       WATCHDOG_SCRATCH0 = 0x4005800C, WATCHDOG_TICK = 0x4005802C, PSM_WDSEL = 0x40010008 };
enum { VTOR = 0xE000ED08 };
// As boards/pico/flash.py writes it before a restart that was due.
enum { PLANNED = 0x0A150A15 };
enum { GUARD_US = 8300000 };
enum { XOSC_DELAY = 47 };  // 1 ms of 12 MHz in units of 256

typedef void (*action_t)(void);

static void *rom(char first, char second) {
    uint32_t at[2] = { 0x14, 0x18 };
    // Addresses so low are no objects to the compiler.
    __asm volatile ("ldr %0, [%0]\n ldr %1, [%1]" : "+l" (at[0]), "+l" (at[1]));
    const uint16_t *table = (const uint16_t *)(at[0] & 0xFFFF);
    void *(*look_up)(const uint16_t *, uint32_t) =
        (void *(*)(const uint16_t *, uint32_t))(at[1] & 0xFFFF);
    return look_up(table, (uint32_t)second << 8 | (uint8_t)first);
}

static uint32_t boot2[BOOT2_SIZE / 4];
static uint8_t page[PAGE];

static void mark(uint32_t offset) {
    for (int k = 0; k < PAGE; ++k) {
        page[k] = 0xFF;
    }
    page[offset % PAGE] = 0;
    action_t connect = rom('I', 'F'), exit_xip = rom('E', 'X'), flush = rom('F', 'C');
    void (*program)(uint32_t, const uint8_t *, size_t) = rom('R', 'P');
    connect();
    exit_xip();
    program(RECORDS_OFFSET + offset - offset % PAGE, page, PAGE);
    flush();
    ((action_t)((uintptr_t)boot2 + 1))();
}

// 125 MHz: half a megabyte is to be read and held against its sum, thousands of times in a life.
static void run_fast(void) {
    REG(XOSC_CTRL) = 0xAA0;
    REG(XOSC_STARTUP) = XOSC_DELAY;
    SET(XOSC_CTRL) = 0xFAB000;
    while (!(REG(XOSC_STATUS) >> 31)) {
    }
    // Nothing may hang on a PLL that is set: both clocks by themselves first.
    CLEAR(CLK_SYS_CTRL) = 1;
    while (REG(CLK_SYS_SELECTED) != 1) {
    }
    REG(CLK_REF_CTRL) = 2;
    while (REG(CLK_REF_SELECTED) != 1 << 2) {
    }
    SET(RESETS) = PLL_SYS_RESET;
    CLEAR(RESETS) = PLL_SYS_RESET;
    while (!(REG(RESETS + RESET_DONE) & PLL_SYS_RESET)) {
    }
    REG(PLL_CS) = 1;
    REG(PLL_FBDIV) = 125;
    CLEAR(PLL_PWR) = 0x21;  // itself and its oscillator
    while (!(REG(PLL_CS) >> 31)) {
    }
    REG(PLL_PRIM) = 6 << 16 | 2 << 12;
    CLEAR(PLL_PWR) = 0x08;  // what divides
    REG(CLK_SYS_DIV) = 1 << 8;
    REG(CLK_SYS_CTRL) = 0;
    SET(CLK_SYS_CTRL) = 1;
    while (REG(CLK_SYS_SELECTED) != 2) {
    }
}

// As by RESETS of the SDK: all but the oscillators, once, after so long.
static void guard(void) {
    CLEAR(WATCHDOG_CTRL) = 1 << 30;
    REG(WATCHDOG_TICK) = 12 | 1 << 9;
    SET(PSM_WDSEL) = 0x1FFFF & ~3;
    CLEAR(WATCHDOG_CTRL) = 7 << 24;
    // RP2040-E1: it counts by two.
    REG(WATCHDOG_LOAD) = GUARD_US * 2;
    SET(WATCHDOG_CTRL) = 1 << 30;
}

static const uint8_t *code(int half) {
    return (const uint8_t *)(XIP + SLOTS_OFFSET + (half - 1) * HALF_SIZE + CODE_OFFSET);
}

static void start(int half) {
    const uint32_t *vectors = (const uint32_t *)(code(half) + VECTORS);
    REG(VTOR) = (uint32_t)vectors;
    // As after a reset: interrupts are not held back, only none is wanted yet.
    __asm volatile ("msr msp, %0\n cpsie i\n bx %1" : : "r" (vectors[0]), "r" (vectors[1]));
}

void starter(void) {
    for (int k = 0; k < BOOT2_SIZE / 4; ++k) {
        boot2[k] = REG(XIP + 4 * k);
    }
    // What the watchdog ended, or an error that reset the chip; not a restart that was due.
    bool failed = REG(WATCHDOG_REASON) & 3 && REG(WATCHDOG_SCRATCH0) != PLANNED;
    run_fast();
    flash_t flash = {
        (const uint8_t *)(XIP + RECORDS_OFFSET), { code(1), code(2) }, FIRMWARE_SIZE, mark
    };
    choice_t choice = choose(&flash, failed);
    if (!choice.half) {
        // Over USB it can be flashed anew.
        ((void (*)(uint32_t, uint32_t))rom('U', 'B'))(0, 0);
    }
    if (choice.guarded) {
        guard();
    }
    start(choice.half);
    for (;;) {
    }
}

extern uint32_t _stack_top, _ram_begin, _ram_end, _ram_from, _bss_end;

// In flash: brings the rest into RAM.
__attribute__((section(".reset"), naked, noreturn)) static void reset(void) {
    __asm volatile (
        "cpsid i\n"
        "ldr r0, =_ram_begin\n ldr r1, =_ram_end\n ldr r2, =_ram_from\n"
        "1: cmp r0, r1\n bhs 2f\n ldm r2!, {r3}\n stm r0!, {r3}\n b 1b\n"
        "2: ldr r1, =_bss_end\n movs r3, #0\n"
        "3: cmp r0, r1\n bhs 4f\n stm r0!, {r3}\n b 3b\n"
        "4: ldr r0, =starter\n bx r0\n"
        ".ltorg\n");
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {
    &_stack_top, (const void *)reset
};
